"""Containers in which slots run."""

import re
from enum import StrEnum

from pydantic import Field, field_validator

from haulage.config.store_options import Form

_MOUNT = re.compile(r"/[^,:\s]*(:/[^,:\s]*(:[a-z+]+)?)?")


class Runtime(StrEnum):
    """What runs a container on a node."""

    PYXIS = "pyxis"
    APPTAINER = "apptainer"


class Container(Form):
    """An image that has Haulage, and what is mounted in it."""

    runtime: Runtime = Field(
        Runtime.PYXIS,
        title="Runtime",
        description="pyxis (srun --container-image) or apptainer.",
    )
    image: str = Field(
        title="Image",
        pattern=r"^[!-+.-~][!-~]*$",
        max_length=400,
        description="As the runtime names it: an image of a registry, or a file that "
        "all nodes see, such as /images/haulage.sqsh or /images/haulage.sif.",
    )
    mounts: tuple[str, ...] = Field(
        (),
        title="Mounts",
        description="One a line: /PATH, /HOST:/CONTAINER or /HOST:/CONTAINER:ro. "
        "Source and target must be where they are on the driver's machine. The "
        "workspace is always mounted.",
    )

    @field_validator("mounts")
    @classmethod
    def _check(cls, mounts: tuple[str, ...]) -> tuple[str, ...]:
        for mount in mounts:
            if not _MOUNT.fullmatch(mount):
                raise ValueError(
                    f"{mount!r} is not a mount; write /PATH, /HOST:/CONTAINER or "
                    "/HOST:/CONTAINER:ro"
                )
        return mounts
