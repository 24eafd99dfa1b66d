class Config:
    num_processes: int
    num_machines: int
    fsdp_config: dict[str, object] | None

def load_config_from_file(config_file: str) -> Config: ...
