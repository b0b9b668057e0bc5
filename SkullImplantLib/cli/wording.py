"""What the remedies of the library's errors are called on the command line: by its options."""

from ..errors import Remedy, SkullImplantError, with_remedy
from .printable import printable

# Each goes behind a message by `errors.with_remedy`.
WORDS = {
    Remedy.LOWER_THRESHOLD: "give a lower --bone-threshold",
    Remedy.OTHER_THRESHOLD: "give another --bone-threshold",
    Remedy.INPUT_IS_NO_CT: "leave out --input ct",
    Remedy.INPUT_IS_NO_SKULL: "leave out --input skull",
    Remedy.SAY_WHAT_INPUT_IS: "say what the image is with --input ct|skull",
    Remedy.SAY_WHAT_REFERENCE_IS: "say which with --reference-is skull|flap",
    Remedy.SAY_ORIENTATION: "give that with --orientation",
    Remedy.CHOOSE_LABEL: "choose the skull's with --label N",
    Remedy.CHOOSE_SEGMENT: "choose the skull's with --segment NAME",
    Remedy.NO_LABEL: "leave out --label",
    Remedy.NO_SEGMENT: "leave out --segment",
    Remedy.LEAVE_OUT_METAL: "leave it out with --leave-out-metal",
    Remedy.OTHER_SERIES: "choose another series with --series",
    Remedy.NO_SERIES: "leave out --series",
    Remedy.OTHER_WEIGHTS: "check the path given to --model",
    Remedy.OTHER_START: "check the path given to --start",
    Remedy.USE_PRIOR: "use --model prior",
    Remedy.LESS_MEMORY: "use --coarser, crop it to the head, or close other programs",
    Remedy.LESS_COARSE: "give --coarser fewer times",
    Remedy.LEAVE_COARSE: "leave out --refine-mm",
    Remedy.USE_CPU: "use --device cpu",
    Remedy.USE_TORCH_ENGINE: "use --engine torch",
    Remedy.GIVE_CLEARANCE: "give --clearance-mm",
    Remedy.OTHER_POPULATION: "check --population",
    Remedy.FEWER_JOBS: "run the same again with fewer --jobs, it goes on where it stopped",
    Remedy.TRAIN_ANEW: "train without --resume to start again",
    Remedy.TRAIN_GENTLER: "train with a smaller --learning-rate, or with --precision float32",
    Remedy.TRAIN_WITH_VALIDATION: "give --validation-share above 0, or no --patience",
    Remedy.TRAIN_FROM_NOTHING: "train without --start",
}


def sentence_of(error: SkullImplantError) -> str:
    """Return an error's message and remedy as the command line says them."""
    return printable(with_remedy(str(error), WORDS[error.remedy] if error.remedy else None))
