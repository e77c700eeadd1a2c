"""A toy language whose phones have known sounds, and utterances of it with their true alignments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asrkit.hmm.transitions import TransitionModel
from asrkit.hmm.tree import ContextTree, monophone_tree
from asrkit.lang.topology import make_topology

TOPOLOGY = make_topology([2, 3, 4, 5], [1], num_states=3, num_silence_states=2)
"""Phone 1 is silence, with two states; the others have three."""

MONO = monophone_tree(TOPOLOGY)
MODEL = TransitionModel.from_tree(MONO, TOPOLOGY)
DIM = 2

Sound = Callable[[tuple[int, int, int], int], Sequence[float]]


@dataclass(frozen=True)
class Said:
    """An utterance: its phones, and of each frame the place of its phone, the HMM state, and the arc taken."""

    phones: tuple[int, ...]
    frames: tuple[tuple[int, int, int], ...]
    features: NDArray[np.float32]

    def window(self, place: int, width: int, central: int) -> tuple[int, ...]:
        return tuple(
            self.phones[i] if 0 <= i < len(self.phones) else 0 for i in range(place - central, place - central + width)
        )

    def alignment(self, transitions: TransitionModel, tree: ContextTree) -> NDArray[np.int32]:
        """What the frames are in transition ids of a model: the arc that leaves a state, then its self-loops."""
        tids = []
        for place, state, arc in self.frames:
            pdf = tree.pdf_id(self.window(place, tree.context_width, tree.central_position), state)
            tids.append(transitions.transition_id(self.phones[place], state, pdf, arc))
        return np.array(tids, dtype=np.int32)


def plain_sound(window: tuple[int, int, int], state: int) -> Sequence[float]:
    """Phones sound the same in every context; 4 and 5 are hardly different."""
    means = {1: (-8.0, 0.0), 2: (0.0, 5.0), 3: (6.0, 0.0), 4: (3.0, -6.0), 5: (3.2, -6.0)}
    base = means[window[1]]
    return base[0] + 2.0 * state, base[1] - 1.0 * state


def say(rng: np.random.Generator, phones: Sequence[int], sound: Sound = plain_sound, spread: float = 0.5) -> Said:
    """Return an utterance whose states last one to four frames, with Gaussian noise around the sounds."""
    frames, means = [], []
    padded = (0, *phones, 0)
    for place, phone in enumerate(phones):
        for state in range(len(TOPOLOGY.states(phone)) - 1):
            length = int(rng.integers(1, 5))
            frames += [(place, state, 1)] + [(place, state, 0)] * (length - 1)
            means += [sound((padded[place], phone, padded[place + 2]), state)] * length
    features = np.array(means) + spread * rng.standard_normal((len(means), DIM))
    return Said(tuple(phones), tuple(frames), features.astype(np.float32))


def talk(seed: int, count: int = 12, sound: Sound = plain_sound, speech: Sequence[int] = (2, 3, 4, 5)) -> list[Said]:
    """Return utterances of random phones between silences; every second lacks the last silence."""
    rng = np.random.default_rng(seed)
    said = []
    for number in range(count):
        inside = [int(rng.choice(speech)) for _ in range(int(rng.integers(3, 9)))]
        said.append(say(rng, [1, *inside, *([1] if number % 2 else [])], sound))
    return said
