"""The description of a front end: every option of Kaldi's compute-{mfcc,fbank,plp,spectrogram}-feats, every floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from asrkit.core.errors import ConfigError

FeatureKind = Literal["mfcc", "fbank", "plp", "spectrogram"]
WindowType = Literal["povey", "hamming", "hanning", "rectangular", "blackman", "sine"]

FLOAT32_EPSILON = 1.1920928955078125e-07
FLOAT32_TINY = 1.1754943508222875e-38

MAX_FRAME_MS = 10_000.0
MAX_RATE_HZ = 10_000_000
"""Far beyond any use; more is a slip that would ask for gigabytes of memory."""


@dataclass(frozen=True)
class FrontEndConfig:
    """How features are computed from samples in the int16 range [-32768, 32767].

    Names and defaults are Kaldi's (5.5), with one exception: ``dither`` is 0 by default and not 1, so that the
    same recording gives the same features with any seed; the floors take over dither's other duty of keeping
    digital silence away from log(0).

    Attributes
    ----------
    kind : {'mfcc', 'fbank', 'plp', 'spectrogram'}
        Cepstra, log-mel filterbank, perceptual linear prediction (Hermansky 1990), or log power spectrum.
    sample_rate_hz : int
        Kaldi's ``sample-frequency``.
    frame_length_ms, frame_shift_ms : float
        Window and its step; both are cut to whole samples as Kaldi does.
    dither : float
        Standard deviation of the Gaussian noise added to the samples. Kaldi draws noise for each frame, here it is
        drawn once for each sample, as if the recording had had it.
    preemphasis_coefficient : float
        In [0, 1]; applied inside the frame.
    remove_dc_offset : bool
        Subtract each frame's mean.
    window_type : str
        See :func:`asrkit.features.windows.window`.
    blackman_coeff : float
        For the Blackman window alone.
    round_to_power_of_two : bool
        Pad the frame with zeros before the FFT.
    snip_edges : bool
        True: only frames that lie within the recording; False: ``round(samples / shift)`` frames, with the
        recording mirrored at its ends.
    num_mel_bins : int
        Triangular bins, equidistant on the mel scale.
    low_freq, high_freq : float
        Edges of the filterbank in Hz; ``high_freq <= 0`` counts from the Nyquist frequency.
    vtln_low, vtln_high, vtln_warp : float
        Vocal tract length normalisation, see :mod:`asrkit.features.warp`; ``vtln_high < 0`` counts from Nyquist.
    num_ceps : int
        Cepstra, the zeroth included (mfcc and plp).
    use_energy : bool or None
        Replace the zeroth cepstrum, or the zeroth point of the spectrogram, by the log energy, or put it in front of
        the filterbank. None is Kaldi's default for the kind: True for mfcc, plp and spectrogram, False for fbank.
    raw_energy : bool
        Take the energy before pre-emphasis and windowing.
    energy_floor : float
        Smallest energy (not log) of a frame; 0 leaves ``frame_energy_floor`` alone.
    frame_energy_floor : float
        Smallest energy (spectrogram: or power) whose log is taken; Kaldi's constant is the float32 epsilon.
    mel_energy_floor : float
        Smallest mel energy whose log (or, for plp, power) is taken; Kaldi's constant is the float32 epsilon.
    cepstral_lifter : float
        Strength of the sine lifter; 0 is none.
    htk_compat : bool
        Put the energy (or the zeroth cepstrum) last, scaled as HTK does.
    use_log_fbank, use_power : bool
        fbank: take the log; sum power (True) or magnitude (False).
    lpc_order : int
        plp: order of the linear prediction.
    compress_factor : float
        plp: exponent of the loudness compression.
    cepstral_scale : float
        plp: factor of all cepstra.
    lpc_error_floor : float
        plp: smallest factor by which one step of Durbin's recursion shrinks the prediction error.
    residual_log_energy_floor : float
        plp: smallest log of the prediction error; Kaldi's constant is the smallest float32.
    """

    kind: FeatureKind = "mfcc"
    sample_rate_hz: int = 16000
    frame_length_ms: float = 25.0
    frame_shift_ms: float = 10.0
    dither: float = 0.0
    preemphasis_coefficient: float = 0.97
    remove_dc_offset: bool = True
    window_type: WindowType = "povey"
    blackman_coeff: float = 0.42
    round_to_power_of_two: bool = True
    snip_edges: bool = True
    num_mel_bins: int = 23
    low_freq: float = 20.0
    high_freq: float = 0.0
    vtln_low: float = 100.0
    vtln_high: float = -500.0
    vtln_warp: float = 1.0
    num_ceps: int = 13
    use_energy: bool | None = None
    raw_energy: bool = True
    energy_floor: float = 0.0
    frame_energy_floor: float = FLOAT32_EPSILON
    mel_energy_floor: float = FLOAT32_EPSILON
    cepstral_lifter: float = 22.0
    htk_compat: bool = False
    use_log_fbank: bool = True
    use_power: bool = True
    lpc_order: int = 12
    compress_factor: float = 0.33333
    cepstral_scale: float = 1.0
    lpc_error_floor: float = 1.0e-5
    residual_log_energy_floor: float = FLOAT32_TINY

    def __post_init__(self) -> None:
        _require(
            0 < self.sample_rate_hz <= MAX_RATE_HZ,
            f"sample_rate_hz is {self.sample_rate_hz}, expected a positive rate of at most {MAX_RATE_HZ}",
        )
        for name in ("frame_shift_ms", "frame_length_ms"):
            _require(
                0 < getattr(self, name) <= MAX_FRAME_MS,
                f"{name} is {getattr(self, name):g}, expected above 0 and at most {MAX_FRAME_MS:g}",
            )
        _require(self.shift >= 1, f"frame_shift_ms is {self.frame_shift_ms:g}, expected at least one sample")
        _require(self.length >= 2, f"frame_length_ms is {self.frame_length_ms:g}, expected at least two samples")
        _require(
            self.fft_size % 2 == 0,
            f"a frame has {self.length} samples, an odd number",
            "set round_to_power_of_two=true or another frame_length_ms",
        )
        _require(self.dither >= 0, f"dither is {self.dither:g}, expected 0 or more")
        _require(
            0 <= self.preemphasis_coefficient <= 1,
            f"preemphasis_coefficient is {self.preemphasis_coefficient:g}, expected a number in [0, 1]",
        )
        _require(self.num_mel_bins >= 3, f"num_mel_bins is {self.num_mel_bins}, expected 3 or more")
        _require(
            0 <= self.low_freq < self.high_hz <= self.nyquist_hz,
            f"low_freq {self.low_freq:g} and high_freq {self.high_hz:g} do not lie in order within "
            f"[0, {self.nyquist_hz:g}] Hz",
        )
        for name in ("frame_energy_floor", "mel_energy_floor", "lpc_error_floor"):
            value = getattr(self, name)
            _require(value > 0, f"{name} is {value:g}, expected a positive number")
        _require(self.energy_floor >= 0, f"energy_floor is {self.energy_floor:g}, expected 0 or more")
        _require(self.cepstral_lifter >= 0, f"cepstral_lifter is {self.cepstral_lifter:g}, expected 0 or more")
        if self.kind == "mfcc":
            _require(
                1 <= self.num_ceps <= self.num_mel_bins,
                f"num_ceps is {self.num_ceps}, expected 1 to num_mel_bins = {self.num_mel_bins}",
            )
        if self.kind == "plp":
            _require(self.lpc_order >= 1, f"lpc_order is {self.lpc_order}, expected 1 or more")
            _require(
                2 <= self.num_ceps <= self.lpc_order + 1,
                f"num_ceps is {self.num_ceps}, expected 2 to lpc_order + 1 = {self.lpc_order + 1}",
            )

    @property
    def shift(self) -> int:
        """Frame shift in samples."""
        return int(self.sample_rate_hz * 0.001 * self.frame_shift_ms)

    @property
    def length(self) -> int:
        """Frame length in samples."""
        return int(self.sample_rate_hz * 0.001 * self.frame_length_ms)

    @property
    def fft_size(self) -> int:
        """Points of the FFT."""
        return 1 << (self.length - 1).bit_length() if self.round_to_power_of_two else self.length

    @property
    def nyquist_hz(self) -> float:
        """Half the sample rate."""
        return 0.5 * self.sample_rate_hz

    @property
    def high_hz(self) -> float:
        """Upper edge of the filterbank in Hz."""
        return self.high_freq if self.high_freq > 0 else self.nyquist_hz + self.high_freq

    @property
    def vtln_high_hz(self) -> float:
        """Upper cut-off of the VTLN warp in Hz."""
        return self.vtln_high if self.vtln_high >= 0 else self.nyquist_hz + self.vtln_high

    @property
    def with_energy(self) -> bool:
        """Whether the log energy is a feature."""
        return self.kind != "fbank" if self.use_energy is None else self.use_energy

    @property
    def dim(self) -> int:
        """Features a frame."""
        if self.kind == "fbank":
            return self.num_mel_bins + int(self.with_energy)
        return self.fft_size // 2 + 1 if self.kind == "spectrogram" else self.num_ceps

    @property
    def power_bins(self) -> int:
        """Points of the power spectrum that are used, from 0 Hz on: Nyquist's is the spectrogram's alone."""
        return self.fft_size // 2 + int(self.kind == "spectrogram")


def _require(condition: bool, message: str, remedy: str | None = None) -> None:
    if not condition:
        raise ConfigError(message, remedy=remedy)
