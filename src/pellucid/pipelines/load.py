"""Former name of `pellucid.pipelines.loading`; goes in the next release."""

from pellucid._deprecation import moved_module

__getattr__ = moved_module(
    __name__,
    "pellucid.pipelines.loading",
    {"stock_pipeline": "load_stock_pipeline", "folder_of": "model_folder"},
)
