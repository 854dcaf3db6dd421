"""A codec bundle's manifest: two graphs, the tables of its entropy coder, and what it reaches."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mmsr_core.runtime.manifest import Count, Facts, InnerPath, Radius, Share


class QualityPoint(BaseModel):
    """One setting of the codec and what it gives, a mean over the photographs of its test split."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    bits: Annotated[int, Field(ge=1, le=8)]
    """Bits a code, before entropy coding."""
    qp: Annotated[int, Field(ge=0, le=51)] | None = None
    """The residual layer's quantiser; None: there is no residual layer."""
    bpp: Count
    """Bits per pixel of the whole file but its metadata."""
    psnr: Annotated[float, Field(ge=0, le=200)]
    """Of RGB in 8 bits, in dB."""
    ms_ssim: Share
    """Of RGB, the mean of its channels."""


class Transform(BaseModel):
    """A graph and how far it looks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    graph: InnerPath
    radius: Radius | None
    """What lies further away from the cell it belongs to doesn't matter: in pixels for an encoder,
    in cells for a decoder; None when it looks at the whole image."""


class CodecManifest(Facts):
    """The facts of a codec bundle; unknown keys are refused.

    A cell is 8×8 pixels. `encoder`: `images` (n,3,h,w) in [0,1], h and w multiples of 8 → `codes`
    (n,c,h/8,w/8). `decoder`: `codes` → `images` (n,3,h,w) in [0,1].
    """

    kind: Literal["codec"] = "codec"
    codec: Annotated[str, Field(max_length=1000)]
    """The component that it was trained from; informative."""
    channels: Annotated[int, Field(ge=1, le=64)]
    encoder: Transform
    decoder: Transform
    tables: InnerPath
    """Integer frequencies for the entropy coder, an npz file."""
    qualities: Annotated[tuple[QualityPoint, ...], Field(max_length=512)] = ()
    """The settings worth using, fewer bits per pixel first."""

    @model_validator(mode="after")
    def _codec_consistent(self) -> Self:
        if missing := sorted({*self.graphs, self.tables} - set(self.files)):
            raise ValueError(f"no hash for {missing[0]}")
        rates = [point.bpp for point in self.qualities]
        if rates != sorted(rates):
            raise ValueError("qualities: bpp has to rise")
        return self

    @property
    def graphs(self) -> frozenset[str]:
        """The paths of its two graphs."""
        return frozenset({self.encoder.graph, self.decoder.graph})
