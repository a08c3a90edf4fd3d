from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Question(_message.Message):
    __slots__ = ("message", "status", "pause_seconds", "times", "size_bytes")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PAUSE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    message: str
    status: int
    pause_seconds: float
    times: int
    size_bytes: int
    def __init__(self, message: _Optional[str] = ..., status: _Optional[int] = ..., pause_seconds: _Optional[float] = ..., times: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("message", "service", "version", "pod", "headers", "remote_address", "number", "filler")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    REMOTE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FILLER_FIELD_NUMBER: _ClassVar[int]
    message: str
    service: str
    version: str
    pod: str
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    remote_address: str
    number: int
    filler: bytes
    def __init__(self, message: _Optional[str] = ..., service: _Optional[str] = ..., version: _Optional[str] = ..., pod: _Optional[str] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., remote_address: _Optional[str] = ..., number: _Optional[int] = ..., filler: _Optional[bytes] = ...) -> None: ...
