"""The bodies of the public API that two services must agree on; shapes are the specification's, to the letter."""

from typing import Any, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from pac.contracts.base import Moment, Outcome, Source, Step


class Reply(BaseModel):
    """Every field is in the body, also one that has its default."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


class Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sparse(Reply):
    """Fields that are not there yet are left out, as the specification's examples do."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    @model_serializer(mode="wrap")
    def _leave_out_nulls(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Of the body as it goes out: what may be missing is never null."""
        schema = handler({name: value for name, value in core.items() if name != "serialization"})
        shape = handler.resolve_ref_schema(schema)
        shape["properties"] = {name: _never_null(field) for name, field in shape["properties"].items()}
        return schema


def _never_null(field: JsonSchemaValue) -> JsonSchemaValue:
    choices = [choice for choice in field.get("anyOf", ()) if choice != {"type": "null"}]
    rest = {name: value for name, value in field.items() if name not in ("anyOf", "default")}
    if "anyOf" not in field:
        return field
    return {**choices[0], **rest} if len(choices) == 1 else {"anyOf": choices, **rest}


class WaitView(Reply):
    """The step goes on by itself; at its deadline the attempt counts as failed."""

    reason: Literal["waiting_for_runtime"]
    since: Moment


class StepView(Sparse):
    """`waiting`: what its worker waits for just now, that gives no usable answer."""

    name: Step
    status: Literal["pending", "processing", "completed", "failed"]
    attempt: int | None = None
    started_at: Moment | None = None
    completed_at: Moment | None = None
    skipped: bool | None = None
    reason: str | None = None
    waiting: WaitView | None = None


class Progress(Reply):
    current_step: Step | None
    steps: tuple[StepView, ...]


class QueueView(Reply):
    position: int | None
    reason: Literal["not_yet_queued", "waiting_for_billing", "waiting_for_slot"]
    eta_p50_seconds: int | None
    eta_p90_seconds: int | None


class DeploymentView(Sparse):
    """A deployment as everybody sees it. Cancelled and rejected ones show `failed`, finer in `outcome`.

    `pinned`: its app was, so it does not run and does not become current.
    """

    id: UUID
    status: Literal["queued", "processing", "completed", "failed"]
    package_id: UUID
    agent_app_id: UUID
    version: str
    created_at: Moment
    started_at: Moment | None = None
    completed_at: Moment | None = None
    duration_seconds: int | None = None
    progress: Progress
    outcome: Outcome | None = None
    error: str | None = None
    error_code: str | None = None
    error_details: tuple[str, ...] | None = None
    required: int | None = None
    available: int | None = None
    source: Source | None = None
    release: int | None = None
    pinned: Literal[True] | None = None
    retry_of: UUID | None = None
    queue: QueueView | None = None


class DeploymentReply(Reply):
    deployment: DeploymentView


def pending_steps(done: tuple[Step, ...] = ()) -> tuple[StepView, ...]:
    """Five steps of which none has begun; those already done for the package are shown so."""
    return tuple(
        StepView(name=step, status="completed", skipped=True) if step in done else StepView(name=step, status="pending")
        for step in Step
    )
