"""The shapes of requests and answers, for OpenAPI. Bodies are parsed by `bodies` and built by `responses`; the tests
hold every answer against these models."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

TYPE_PATTERN = r"^[A-Za-z0-9_.-]{1,64}$"

Type = Annotated[
    str, Field(pattern=TYPE_PATTERN, description="Kind of thing counted: `hits`, `likes`, …", examples=["hits"])
]
Id = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1023,
        description="What is counted: 1–1,023 bytes of UTF-8 without control characters",
        examples=["/favicon.ico"],
    ),
]
Value = Annotated[int, Field(ge=-(2**63), le=2**63 - 1, description="Signed 64-bit total; saturates", examples=[807])]
Delta = Annotated[int, Field(ge=-(2**63), le=2**63 - 1, description="What to add, may be negative", examples=[1])]
Member = Annotated[
    str, Field(min_length=1, max_length=255, description="Who it was: for uniques and samples", examples=["user_7"])
]
AsOf = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        description="When this was true: RFC 3339, UTC, milliseconds",
        examples=["2026-11-23T21:00:00.123Z"],
    ),
]
Pending = Annotated[int, Field(description="The part of `value` that is not yet handed to the sinks", examples=[0])]
Lost = Annotated[
    int, Field(ge=0, description="Records that sources sent and that never arrived, over the whole store", examples=[0])
]
Durable = Annotated[bool, Field(description="True: it survives a crash of this server", examples=[False])]


Unique = Annotated[int, Field(ge=0, description="Different members; exact while `error` is 0", examples=[683])]
UniqueError = Annotated[
    float,
    Field(ge=0, lt=1, description="One standard error of `unique`, relative; 0 while it is exact", examples=[0.0]),
]
Members = Annotated[
    list[str],
    Field(description="Up to 100 (`--sample-size`) of the different members", examples=[["user_7", "user_12"]]),
]
Distinct = Annotated[
    int,
    Field(
        ge=0,
        description="How many the sample was drawn from, estimated from it alone; `unique` knows it better",
        examples=[2],
    ),
]
Complete = Annotated[bool, Field(description="The sample is all of them, and `distinct` is exact", examples=[True])]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Counter(_Model):
    type: Type
    id: Id
    value: Value
    as_of: AsOf
    pending: Pending
    lost: Lost


class CounterUnique(_Model):
    type: Type
    id: Id
    unique: Unique
    error: UniqueError


class TypeUnique(_Model):
    type: Type
    unique: Unique
    error: UniqueError


class CounterSample(_Model):
    type: Type
    id: Id
    sample: Members
    distinct: Distinct
    complete: Complete


class Increment(_Model):
    """Both optional, as is the whole body. A delta of 0 with a member counts the member and adds nothing."""

    delta: Delta = 1
    member: Member | None = None


class Incremented(_Model):
    type: Type
    id: Id
    value: Value
    durable: Durable


class Reset(_Model):
    type: Type
    id: Id
    value: Annotated[int, Field(description="What it reads now: 0, unless someone counted meanwhile", examples=[0])]
    was: Annotated[int, Field(description="What was taken off", examples=[807])]
    durable: Durable


class NamedIncrement(_Model):
    type: Type
    id: Id
    delta: Delta = 1
    member: Member | None = None


class Increments(_Model):
    increments: list[NamedIncrement]


class Applied(_Model):
    """Counts are of records: an increment is one, with both a member and a delta other than 1 it is two (three for
    the smallest delta there is)."""

    applied: Annotated[int, Field(ge=0, examples=[2])]
    refused: Annotated[int, Field(ge=0, description="New names past a limit of the server", examples=[0])]
    duplicate: Annotated[bool, Field(description="This frame was counted before; nothing was added", examples=[False])]
    durable: Durable


class CounterName(_Model):
    type: Type
    id: Id


class CounterNames(_Model):
    counters: Annotated[list[CounterName], Field(max_length=10_000)]
    unique: Annotated[bool, Field(description="Say `unique` and `error`, too")] = False
    sample: Annotated[
        int,
        Field(ge=0, le=4096, description="Say up to so many members of each, too; at most 100,000 over all counters"),
    ] = 0


class CounterRow(_Model):
    type: Type
    id: Id
    value: Value
    pending: Pending
    unique: Annotated[Unique | None, Field(description="If asked for")] = None
    error: Annotated[UniqueError | None, Field(description="If `unique` was asked for")] = None
    sample: Annotated[Members | None, Field(description="If asked for")] = None
    distinct: Annotated[Distinct | None, Field(description="If `sample` was asked for")] = None
    complete: Annotated[Complete | None, Field(description="If `sample` was asked for")] = None


class Counters(_Model):
    counters: Annotated[list[CounterRow], Field(description="In the order of the request")]
    as_of: AsOf
    lost: Lost


class TopRow(_Model):
    id: Id
    value: Value


class TopUniqueRow(_Model):
    id: Id
    unique: Unique


class Top(_Model):
    type: Type
    by: Literal["value", "unique"]
    k: int
    complete: Annotated[bool, Field(description="False if names may be missing")]
    as_of: AsOf
    top: Annotated[list[TopRow] | list[TopUniqueRow], Field(description="Largest first, ties by id; rows by `by`")]


class Source(_Model):
    """The books of one source at one address."""

    source: Annotated[str | None, Field(description="16 hex digits; null: frames without a source")]
    address: Annotated[str, Field(examples=["127.0.0.1:40123"])]
    frames: Annotated[int, Field(description="Received and applied")]
    records: Annotated[int, Field(description="In those frames")]
    sent: Annotated[int, Field(description="Records the source says it has sent so far")]
    lost: Annotated[int, Field(description="Records sent that have not arrived")]
    lost_frames: int
    duplicate_frames: int
    duplicate_records: int
    reordered_frames: Annotated[int, Field(description="Arrived after a later one, and counted")]
    stale_frames: Annotated[int, Field(description="Older than the window; not counted, they may be repeats")]
    stale_records: int
    ahead_frames: Annotated[int, Field(description="Refused: further ahead than is plausible")]
    inconsistent_frames: Annotated[int, Field(description="Refused: `sent` contradicts earlier frames")]
    malformed: Annotated[int, Field(description="Frames that did not decode")]
    joined_seq: Annotated[int, Field(description="First seq that the books cover")]
    next_seq: Annotated[int, Field(description="Highest seq received + 1")]
    settled: Annotated[bool, Field(description="The source closed its books, so `lost` is final")]
    idle_s: float


class Sources(_Model):
    sources: Annotated[list[Source], Field(description="Most lost first, then most recently heard")]
    totals: Annotated[dict[str, int], Field(description="Sums over all sources, also those no longer listed")]


class Stats(_Model):
    version: Annotated[str, Field(examples=["0.1.0"])]
    uptime_s: Annotated[float, Field(ge=0)]
    store: dict[str, Any]
    udp: Annotated[list[dict[str, Any]], Field(description="One entry a UDP worker")]


class Health(_Model):
    status: Literal["ok"]
    version: str
    uptime_s: float


class Error(BaseModel):
    """Every error of every route. Some carry further members, such as `line` or `limit`."""

    model_config = ConfigDict(extra="allow")
    error: Annotated[str, Field(description="A code for programs", examples=["invalid_name"])]
    message: Annotated[
        str,
        Field(
            description="What was expected, for people",
            examples=["id: 1 to 1,023 bytes of UTF-8 are wanted, not 0"],
        ),
    ]
