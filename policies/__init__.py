"""Policy packs in the language itself; read them with `importlib.resources`."""
