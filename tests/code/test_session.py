"""What a version says about the code it came from."""

import subprocess

from dwcp_ml.session import git_commit


def git(folder, *arguments):
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_commit_is_dirty_for_changed_code_and_not_for_the_lock_a_run_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert git_commit() is None
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("a = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "start")
    clean = git_commit()
    assert clean is not None
    assert len(clean) == 40
    (tmp_path / "dvc.lock").write_text("stages: {}\n")
    assert git_commit() == clean
    (tmp_path / "src" / "a.py").write_text("a = 2\n")
    assert git_commit() == f"{clean}-dirty"
