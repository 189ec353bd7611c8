"""Names for runs that were given none, such as `calm-heron-417`."""

from __future__ import annotations

import secrets

_QUALITIES = """
able amber bold brave bright brisk calm clear crisp deft eager early even fair fine fleet fond frank fresh gentle glad
grand keen kind level light lively lucid merry mild neat noble plain proud quick quiet rapid ready serene sharp smooth
spry steady still sunny swift tidy true vivid warm wise witty
"""
_ANIMALS = """
auk bear bee carp cod colt crab crane crow deer dove duck eel elk ewe finch fox frog gnu goat gull hare hawk hen heron
ibis jay kite koi lamb lark lynx mole moth mouse mule newt otter owl perch pike puma quail ram raven robin seal shrew
snail sole stork swan teal tern toad trout vole whale wolf wren yak
"""


def new_name() -> str:
    first, second = secrets.choice(_QUALITIES.split()), secrets.choice(_ANIMALS.split())
    return f"{first}-{second}-{secrets.randbelow(900) + 100}"
