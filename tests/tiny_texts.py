"""Text encoders of newer families, made small, and tokenizers that speak in turns."""

from transformers import (
    BatchEncoding,
    Gemma2Config,
    Gemma2Model,
    GlmConfig,
    GlmModel,
    LlamaConfig,
    LlamaForCausalLM,
    Mistral3Config,
    Mistral3Model,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SmolLM3Config,
    SmolLM3ForCausalLM,
    UMT5Config,
    UMT5EncoderModel,
)

import tiny
from building import build

WIDTH = 32
CHAT = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""Writes what was said, and nothing around it."""


def tokenizer(n_tokens: int = 32) -> tiny.PreTrainedTokenizerFast:
    made = tiny.tokenizer(n_tokens)
    made.chat_template = CHAT
    return made


def _decoder(**more: object) -> dict[str, object]:
    return {
        "vocab_size": 64,
        "hidden_size": WIDTH,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 2048,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        **more,
    }


def gemma2() -> Gemma2Model:
    return Gemma2Model(build(Gemma2Config, **_decoder())).eval()


def glm() -> GlmModel:
    return GlmModel(build(GlmConfig, **_decoder())).eval()


def llama() -> LlamaForCausalLM:
    return LlamaForCausalLM(build(LlamaConfig, **_decoder())).eval()


def qwen3(layers: int = 2) -> Qwen3Model:
    return Qwen3Model(build(Qwen3Config, **_decoder(num_hidden_layers=layers))).eval()


def qwen3_speaker(layers: int = 2) -> Qwen3ForCausalLM:
    return Qwen3ForCausalLM(build(Qwen3Config, **_decoder(num_hidden_layers=layers))).eval()


def qwen_vl() -> Qwen2_5_VLForConditionalGeneration:
    text = _decoder(rope_scaling={"type": "mrope", "mrope_section": [2, 3, 3]})
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "fullatt_block_indexes": [0],
    }
    config = build(
        Qwen2_5_VLConfig,
        text_config=text,
        vision_config=vision,
        vision_start_token_id=60,
        vision_end_token_id=61,
        vision_token_id=62,
        image_token_id=62,
        video_token_id=63,
    )
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def qwen3_vl(layers: int = 2) -> Qwen3VLForConditionalGeneration:
    places = {"rope_type": "default", "mrope_section": [2, 3, 3]}
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    config = build(
        Qwen3VLConfig,
        text_config=_decoder(num_hidden_layers=layers, rope_scaling=places),
        vision_config=vision,
        vision_start_token_id=60,
        vision_end_token_id=61,
        image_token_id=62,
        video_token_id=63,
    )
    return Qwen3VLForConditionalGeneration(config).eval()


def smol_lm3() -> SmolLM3ForCausalLM:
    """With the token 128000, which its pipeline takes for the empty text."""
    return SmolLM3ForCausalLM(
        build(SmolLM3Config, **_decoder(vocab_size=128001, hidden_size=8, head_dim=4))
    ).eval()


def mistral3() -> Mistral3Model:
    vision = {
        "model_type": "pixtral",
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "head_dim": 8,
        "image_size": 32,
        "patch_size": 16,
    }
    config = Mistral3Config(text_config={"model_type": "mistral", **_decoder()}, vision_config=vision)
    return Mistral3Model(config).eval()


def umt5() -> UMT5EncoderModel:
    config = build(
        UMT5Config, vocab_size=64, d_model=WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0
    )
    return UMT5EncoderModel(config).eval()


class Listener(tiny.PreTrainedTokenizerFast):
    """Reads messages of several parts, as processors do."""

    def apply_chat_template(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, conversation: list[list[dict[str, list[dict[str, str]]]]], *, max_length: int, **_: object
    ) -> BatchEncoding:
        texts = [
            " ".join(part["text"] for turn in turns for part in turn["content"]) for turns in conversation
        ]
        return self(texts, padding="max_length", truncation=True, max_length=max_length, return_tensors="pt")


def listener() -> Listener:
    known = tokenizer()
    return build(
        Listener,
        tokenizer_object=known.backend_tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=512,
    )
