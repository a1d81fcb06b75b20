"""What this process believes of those who call: forgotten at once where it is changed, within seconds elsewhere."""

from dataclasses import dataclass
from uuid import UUID

from pac.gateway.auth import ApiKeys
from pac.gateway.sessions import Sessions


@dataclass(frozen=True)
class Believed:
    api_keys: ApiKeys
    sessions: Sessions

    def forget_key(self, key_id: UUID) -> None:
        self.api_keys.forget(key_id)

    def forget_user(self, user_id: UUID) -> None:
        self.sessions.forget(user_id)

    def forget_account(self, account_id: UUID) -> None:
        self.api_keys.forget_account(account_id)
        self.sessions.forget_account(account_id)
