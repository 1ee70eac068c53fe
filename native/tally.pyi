class Tally:
    allowed: int
    blocked: int
    shed: int
    shed_by_lanes: int
    http_requests: int
    under_way_bytes: int
    unrecorded: int
    latency_s: float
    def __init__(self, bounds: tuple[float, ...]) -> None: ...
    def took(self, seconds: float) -> object: ...
    @property
    def latency(self) -> list[int]: ...
