"""What happens after the end of an episode."""

from __future__ import annotations

import gymnasium
from gymnasium.vector import AutoresetMode

from configs.errors import UserError, did_you_mean
from envs.errors import EnvironmentConfigError


class ResetNeededError(UserError, gymnasium.error.ResetNeeded):
    """A step before the first reset, or after the end of an episode.

    It stands here and not in `envs.errors`, which imports no Gymnasium.
    """


def autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """The mode of a name, such as "SameStep".

    Raises:
        EnvironmentConfigError: there is no such mode.
    """
    names = [known.value for known in AutoresetMode]
    if isinstance(mode, AutoresetMode):
        return mode
    if mode not in names:
        raise EnvironmentConfigError(f"unknown autoreset_mode {mode!r}{did_you_mean(str(mode), names)}")
    return AutoresetMode(mode)
