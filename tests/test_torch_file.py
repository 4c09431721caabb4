"""Files of `torch.save` that hold less than they announce."""

import io
import pickle
import zipfile

import pytest
import torch

from fundus_uda.torch_file import DEPTH, UnreadableError, read_torch_file


def rewritten(path, change):
    """The archive of `torch.save`, with each entry's bytes and compression changed."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, contents in entries.items():
            archive.writestr(name, *change(name, contents))
    return path


def test_honest_contents_are_read(tmp_path):
    shared = torch.arange(6.0)
    contents = {
        "weights": {
            "a": torch.eye(3, dtype=torch.float16),
            1: torch.zeros(0),
            "s": torch.tensor(2),
        },
        "views": [shared[:2], shared.reshape(2, 3).T, torch.ones(1, 5).expand(1, 5)],
        "step": 3,
    }
    for old in (False, True):
        torch.save(contents, tmp_path / "a.pt", _use_new_zipfile_serialization=not old)
        read = read_torch_file(tmp_path / "a.pt")
        assert torch.equal(read["weights"]["a"], torch.eye(3).half())
        assert torch.equal(read["views"][1], shared.reshape(2, 3).T)
        assert read["step"] == 3


def test_an_archive_that_unpacks_to_more_than_its_size_is_not_unpacked(tmp_path, monkeypatch):
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "bomb.pth")
    bomb = rewritten(tmp_path / "bomb.pth", lambda _, b: (b, zipfile.ZIP_DEFLATED))
    assert bomb.stat().st_size < 100_000

    def never(*_, **__):
        raise AssertionError("it was unpacked")

    monkeypatch.setattr(torch, "load", never)
    with pytest.raises(UnreadableError, match=r"of \d+ bytes that would unpack to 4\d{6}"):
        read_torch_file(bomb)


def test_a_tensor_that_repeats_one_value_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1).expand(2**30)}, tmp_path / "a.pth")
    with pytest.raises(UnreadableError, match="repeats its values"):
        read_torch_file(tmp_path / "a.pth")


def test_a_storage_beyond_its_bytes_is_refused(tmp_path):
    """Its pickle says a thousand numbers where the archive holds three, beside padding."""
    torch.save({"a": torch.ones(1000), "pad": torch.zeros(5000)}, tmp_path / "a.pth")

    def cut(name, contents):
        return (contents[:12] if name.endswith("/data/0") else contents,)

    with pytest.raises(UnreadableError, match="larger than the file holds|damaged"):
        read_torch_file(rewritten(tmp_path / "a.pth", cut))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("contents", [torch.eye(3).to_sparse(), torch.zeros(3, device="meta")])
def test_tensors_without_plain_values_are_refused(contents, tmp_path):
    torch.save({"a": contents}, tmp_path / "a.pth")
    with pytest.raises(UnreadableError, match="without plain values|damaged"):
        read_torch_file(tmp_path / "a.pth")


def test_contents_without_end_are_refused(tmp_path):
    deep, wide, itself = [], [], {}
    for _ in range(DEPTH + 1):
        deep = [deep]
        wide = [wide] * 10
    itself["a"] = itself
    for contents in (deep, wide, itself):
        torch.save(contents, tmp_path / "a.pth")
        with pytest.raises(UnreadableError, match="nested more than|more than .* entries"):
            read_torch_file(tmp_path / "a.pth")


def test_no_code_is_run(tmp_path):
    class Runs:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    for contents in ({"a": Runs()}, Runs()):
        torch.save(contents, tmp_path / "a.pth")
        (tmp_path / "plain.pth").write_bytes(pickle.dumps(contents))
        for name in ("a.pth", "plain.pth"):
            with pytest.raises(UnreadableError, match="another kind of file, or a damaged one"):
                read_torch_file(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_bytes_of_anything_are_refused(tmp_path):
    buffer = io.BytesIO()
    torch.save([1], buffer)
    for contents in (b"", b"PK", b"hello" * 100, buffer.getvalue()[:-30]):
        (tmp_path / "a.pth").write_bytes(contents)
        with pytest.raises(UnreadableError, match="another kind of file, or a damaged one"):
            read_torch_file(tmp_path / "a.pth")
    with pytest.raises(FileNotFoundError):
        read_torch_file(tmp_path / "none.pth")
    with pytest.raises(UnreadableError):
        read_torch_file(tmp_path)
