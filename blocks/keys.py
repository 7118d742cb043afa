"""Secrets and store options from a block of credentials."""

from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError
from prefect_aws.client_parameters import AwsClientParameters
from prefect_aws.credentials import AwsCredentials, MinIOCredentials
from pydantic import SecretStr

from haulage.errors import RefusedError


@dataclass(frozen=True)
class Keys:
    """Secrets by the suffixes of their variables' names, and the block's store options.

    Without secrets the profile says where they are.
    """

    secrets: dict[str, str] = field(repr=False)
    options: dict[str, str]


def keys_of(block: AwsCredentials | MinIOCredentials, shown: str) -> Keys:
    """Return the keys of `block`; RefusedError if there are none, or not all."""
    if isinstance(block, MinIOCredentials):
        secrets, profile = _of_minio(block), None
    elif block.assume_role_arn:
        secrets, profile = _of_role(block, shown), None
    else:
        secrets, profile = _of_aws(block), block.profile_name or None
    _check_enough(secrets, profile, shown)
    parameters = block.aws_client_parameters
    _check_certificates(parameters, shown)
    options = {
        "endpoint": (parameters.endpoint_url or "").rstrip("/"),
        "region": block.region_name,
        "profile": None if secrets else profile,
    }
    return Keys(secrets, {name: value for name, value in options.items() if value})


def _of_minio(block: MinIOCredentials) -> dict[str, str]:
    return _named(block.minio_root_user, block.minio_root_password, None)


def _of_aws(block: AwsCredentials) -> dict[str, str]:
    secret, token = block.aws_secret_access_key, block.aws_session_token
    return _named(block.aws_access_key_id, secret, token)


def _of_role(block: AwsCredentials, shown: str) -> dict[str, str]:
    """Return the keys of the assumed role, which expire after the block's duration."""
    try:
        credentials = block.get_boto3_session().get_credentials()
    except ClientError as err:
        reason = str(err.response["Error"].get("Code"))
    except BotoCoreError as err:
        reason = str(err)
    else:
        assert credentials is not None, "a role that was assumed has credentials"
        keys = credentials.get_frozen_credentials()
        return _named(keys.access_key, SecretStr(keys.secret_key or ""), keys.token)
    raise RefusedError(
        f"{shown}: the role {block.assume_role_arn} cannot be assumed: {reason}; "
        "check the role's trust policy and the keys that assume it"
    )


def _named(
    key_id: str | None, secret: SecretStr | None, token: str | None
) -> dict[str, str]:
    values = {
        "ACCESS_KEY_ID": key_id,
        "SECRET_ACCESS_KEY": secret.get_secret_value() if secret else None,
        "SESSION_TOKEN": token,
    }
    return {name: value for name, value in values.items() if value}


def _check_enough(secrets: dict[str, str], profile: str | None, shown: str) -> None:
    missing = {"ACCESS_KEY_ID", "SECRET_ACCESS_KEY"} - secrets.keys()
    if not secrets and not profile:
        raise RefusedError(
            f"{shown} is empty; give it an access key ID and its secret, or a profile"
        )
    if secrets and missing:
        raise RefusedError(
            f"{shown} is not complete: {' and '.join(sorted(missing))} is missing"
        )


def _check_certificates(parameters: AwsClientParameters, shown: str) -> None:
    """Refuse settings that would be ignored silently, and then fail at the server."""
    if parameters.verify is False or parameters.verify_cert_path:
        raise RefusedError(
            f"{shown} sets how certificates are verified (verify, verify_cert_path), "
            "which Haulage ignores; clear these fields"
        )
