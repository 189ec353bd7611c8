"""Authentication objects of SDK v1. A yard knows tokens only, so each of them carries the caller's token.

They are accepted wherever v1 takes `auth=`; none of them prompts or speaks with anybody but the yard.
"""

from __future__ import annotations

from typing import Any, Dict, Optional

from modelyard._client import discover


class AbstractAuthentication:
    """Gives the header with which a REST call to the yard is made."""

    def get_authentication_header(self) -> Dict[str, str]:
        """`{"Authorization": "Bearer …"}` with this machine's token (or the run's own, inside a run).

        Raises AuthenticationException when no token is found.
        """
        return {"Authorization": "Bearer " + self.get_token()}

    def get_token(self, *scopes: Any, **_options: Any) -> str:
        """The bare token; scopes belong to Azure and change nothing here."""
        return discover().token


class InteractiveLoginAuthentication(AbstractAuthentication):
    """Accepts v1's arguments; the token comes from the yard's own file, without a prompt."""

    def __init__(self, force: bool = False, tenant_id: Optional[str] = None, cloud: Any = None) -> None:
        self.tenant_id = tenant_id


class AzureCliAuthentication(AbstractAuthentication):
    def __init__(self, cloud: Any = None) -> None:
        self.cloud = cloud


class MsiAuthentication(AbstractAuthentication):
    def __init__(self, identity_config: Any = None, cloud: Any = None) -> None:
        self.identity_config = identity_config


class ServicePrincipalAuthentication(AbstractAuthentication):
    """The service principal's names are kept for scripts that read them; its password is not kept."""

    def __init__(
        self,
        tenant_id: str,
        service_principal_id: str,
        service_principal_password: str,
        cloud: Any = None,
        _enable_caching: bool = True,
    ) -> None:
        self.tenant_id = tenant_id
        self.service_principal_id = service_principal_id


class ArmTokenAuthentication(AbstractAuthentication):
    """A token given by the caller: a yard's token."""

    def __init__(self, arm_access_token: str, cloud: Any = None) -> None:
        self._token = arm_access_token

    def get_token(self, *scopes: Any, **_options: Any) -> str:
        return self._token

    def update_auth_token(self, arm_access_token: str) -> None:
        self._token = arm_access_token


class TokenAuthentication(AbstractAuthentication):
    """A token fetched by the caller's function, called with the audience each time."""

    def __init__(self, get_token_for_audience: Any, cloud: Any = None) -> None:
        self._get_token_for_audience = get_token_for_audience

    def get_token(self, *scopes: Any, **_options: Any) -> str:
        return str(self._get_token_for_audience("https://management.core.windows.net/"))
