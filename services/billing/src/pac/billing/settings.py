"""What an operator may set for billing: variables begin with BILLING_."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from pac.servicekit.settings import ServiceSettings


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="BILLING_", frozen=True)

    signup_credits: int = Field(default=0, ge=0, le=1_000_000_000)
