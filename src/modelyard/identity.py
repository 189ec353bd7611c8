"""Authentication objects of SDK v1. A yard knows tokens only, so each of them carries the caller's token.

They are accepted wherever v1 takes `auth=`; none of them prompts or speaks with anybody but the yard.
"""

from __future__ import annotations

from typing import Any, Dict, Optional

from modelyard._client import discover
from modelyard.errors import UserErrorException

_AUDIENCE = "https://management.core.windows.net/"  # v1's default, which a function of the user's may look at


class AbstractAuthentication:
    """Gives the header with which a REST call to the yard is made."""

    def __init__(self, cloud: Any = None) -> None:
        self.cloud = cloud

    def get_authentication_header(self) -> Dict[str, str]:
        """`{"Authorization": "Bearer …"}` with this machine's token (or the run's own, inside a run).

        Raises AuthenticationException when no token is found.
        """
        return {"Authorization": "Bearer " + self.get_token()}

    def get_token(self, *scopes: Any, **kwargs: Any) -> str:
        """The bare token; scopes belong to Azure and change nothing here."""
        return discover().token

    def signed_session(self, session: Any = None) -> Any:
        """The `requests.Session` given, now with the header of `get_authentication_header`."""
        if session is None:
            raise UserErrorException("Give the session: signed_session(requests.Session()).")
        session.headers.update(self.get_authentication_header())
        return session


class InteractiveLoginAuthentication(AbstractAuthentication):
    """Accepts v1's arguments; the token comes from the yard's own file, without a prompt."""

    def __init__(self, force: bool = False, tenant_id: Optional[str] = None, cloud: Any = None) -> None:
        super().__init__(cloud)
        self.tenant_id = tenant_id


class AzureCliAuthentication(AbstractAuthentication):
    pass


class MsiAuthentication(AbstractAuthentication):
    """`identity_config=` chooses an identity of the machine in Azure; it is accepted and not looked at."""

    def __init__(self, cloud: Any = None, **kwargs: Any) -> None:
        super().__init__(cloud)


class ServicePrincipalAuthentication(AbstractAuthentication):
    """The service principal's names are kept for scripts that read them; its password is not kept."""

    def __init__(
        self,
        tenant_id: str,
        service_principal_id: str,
        service_principal_password: str,
        cloud: Any = "AzureCloud",
        _enable_caching: bool = True,
    ) -> None:
        super().__init__(cloud)
        self.tenant_id = tenant_id
        self.service_principal_id = service_principal_id


class ArmTokenAuthentication(AbstractAuthentication):
    """A token given by the caller: a yard's token."""

    def __init__(self, arm_access_token: str, cloud: Any = None) -> None:
        super().__init__(cloud)
        self._token = arm_access_token

    def get_token(self, *scopes: Any, **kwargs: Any) -> str:
        return self._token

    def update_arm_access_token(self, new_arm_access_token: str) -> None:
        self._token = new_arm_access_token


class TokenAuthentication(AbstractAuthentication):
    """A token fetched by the caller's function, called with the audience each time."""

    def __init__(self, get_token_for_audience: Any, cloud: Any = None) -> None:
        super().__init__(cloud)
        self._get_token_for_audience = get_token_for_audience

    def get_token(self, audience: str = _AUDIENCE) -> str:
        return str(self._get_token_for_audience(audience))
