"""Third stage of a swap: rendered faces go back into their photo."""

from __future__ import annotations

from dataclasses import dataclass

from stylswap.faces.landmarks import head_pose
from stylswap.jobs.align_photo import reason_of
from stylswap.jobs.paste import PasteOptions, paste_face
from stylswap.jobs.stopwatch import Stopwatch
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapped import Aligned, RenderedFaces, Swapped, SwappedFace
from stylswap.label import draw_label


@dataclass(frozen=True)
class PhotoJoiner:
    """Pastes what was rendered.

    Attributes:
        options: How.
        drawn: See `PasteOptions`.
    """

    options: SwapOptions
    drawn: bool = True

    def __call__(self, aligned: Aligned, rendered: RenderedFaces) -> Swapped:
        """The swapped photo; a photo that fails is a result."""
        watch = Stopwatch({**aligned.seconds, **rendered.seconds})
        try:
            return self._join(aligned, rendered, watch)
        except Exception as error:
            return Swapped(None, aligned.photo, "failed", reason_of(error), len(aligned.found), seconds=watch.seconds)

    def _join(self, aligned: Aligned, rendered: RenderedFaces, watch: Stopwatch) -> Swapped:
        options = PasteOptions(self.options.blend, self.options.colour, detail=self.options.detail, drawn=self.drawn)
        photo, swapped = aligned.photo, []
        with watch("blend"):
            # The largest face comes last, so that where masks meet it is the one in front.
            for index in reversed(range(len(aligned.chosen))):
                face, matrix = aligned.found[aligned.chosen[index]], aligned.matrices[index]
                output, mask = rendered.outputs[index], rendered.masks[index]
                pasted = paste_face(photo, output, mask, matrix, options)
                photo = pasted.photo
                facts = {
                    "number": aligned.numbers[aligned.chosen[index]],
                    "blend": pasted.blend,
                    "colour": pasted.colour,
                    "seam": round(pasted.seam, 4),
                    "parsed": rendered.parsed[index],
                    "occluded_share": round(rendered.occluded[index], 4),
                    "glasses": rendered.glasses[index],
                    "warning": aligned.warnings[index],
                }
                swapped.append(SwappedFace(face, head_pose(face.landmarks), output, mask, matrix, facts))
            if self.options.label:
                photo = draw_label(photo, self.options.label)
        faces = tuple(reversed(swapped))
        return Swapped(photo, aligned.photo, "swapped", aligned.missing, len(aligned.found), faces, aligned.left_out, watch.seconds)
