"""The data of an adaptation: the target, those of it that were outlined, and that it stays so."""

import json
from pathlib import Path

from fundus_uda.clinic.crops import fingerprint_labelled
from fundus_uda.clinic.listing import list_photographs, samples_of_dataset
from fundus_uda.data.datasets import is_data_uri, load_samples
from fundus_uda.data.inspection import load_labelled
from fundus_uda.data.photograph_files import read_sample
from fundus_uda.data.samples import Sample
from fundus_uda.engine.fingerprint import fingerprint, fingerprint_file
from fundus_uda.engine.model_path import ADAPTATION_FILE
from fundus_uda.errors import InputError
from fundus_uda.files import read_json, temporary_of, write_whole
from fundus_uda.paths import user_path
from fundus_uda.recipe.plan import Task
from fundus_uda.segmentation.settings import DataSettings
from fundus_uda.unfinished import LEFT_BY_LOCK


def load_dataset(target: list[str], key: bytes | None) -> list[Sample]:
    """Load the samples of a target that is the data URI of a dataset; none for photographs."""
    if len(target) > 1 or not is_data_uri(target[0]):
        return []
    return samples_of_dataset(target[0], key)


def named_target(task: Task, dataset: list[Sample]) -> list[tuple[str, Path]]:
    """List ids and files of the target's photographs."""
    if dataset:
        return [(sample.id, sample.image) for sample in dataset]
    paths = [user_path(path) for path in task.target]
    files = list_photographs(paths, task.key, task.recursive, task.ids)
    return [(file.id, file.path) for file in files]


def load_outlined(task: Task, named: list[tuple[str, Path]]) -> list[Sample]:
    """Load the outlined photographs, all of which must be the target's; none without `outlined`.

    Raises:
        InputError: a photograph of another name, or an outline that cannot be read or has another
            size.
    """
    if task.outlined is None:
        return []
    samples = load_labelled(task.outlined)
    known = {id_ for id_, _ in named}
    for sample in samples:
        if sample.id not in known:
            raise InputError(
                f"Expected outlines of photographs of --target, by their names. Got: "
                f"{sample.masks[0]}, which is of none of its {len(known)}. Remove it, or rename "
                f"it and its photograph."
            )
        read_sample(sample)
    return samples


def load_reference(data: DataSettings, outlined: list[Sample]) -> list[Sample] | None:
    """Load the samples against which the report scores, by the annotation of all other scores.

    Args:
        data: settings of the stages.
        outlined: photographs that are learnt with outlines, and left out here.

    Returns:
        None for a target without masks.
    """
    if data.test is None:
        return None
    samples = load_samples(data.test, data.target_annotation)
    learnt = {sample.id for sample in outlined}
    return [sample for sample in samples if sample.id not in learnt]


def require_same_data(out: Path, named: list[tuple[str, Path]], whole: list[Sample]) -> None:
    """Record the data in a new folder, or check that `out` is an adaptation of the same data.

    `adapt` deletes files in no other folder. The data are what is there, wherever it is: ids, which
    the key hashes, and bytes of files. A source of crops is compared where it is learnt.

    Args:
        out: folder of the adaptation.
        named: ids and files of the target's photographs.
        whole: samples of a source of whole photographs, which are cropped once.
    """
    file = out / ADAPTATION_FILE
    ours = {
        "target": fingerprint([(id_, fingerprint_file(path)) for id_, path in named]),
        "source": fingerprint_labelled(whole),
    }
    # Where an adaptation was killed as it wrote its first file, there may be a part of that.
    begun = {path.name for path in out.iterdir()} - LEFT_BY_LOCK - {temporary_of(file).name}
    if not begun:
        write_whole(file, json.dumps(ours))
        return
    theirs = read_json(file) if file.is_file() else {}
    if theirs.get("target") != ours["target"]:
        raise InputError(
            f"Expected an adaptation to the same --target, with the same --key-file, in {out} to "
            f"go on with. Got: another, or none. Give those, or choose another --out."
        )
    if theirs.get("source") != ours["source"]:
        raise InputError(
            f"Expected the --source whose photographs and masks were cropped into "
            f"{out / 'source'}. Got: another, or other masks. Give that, or choose another --out."
        )
