"""Every conformance vector, one test per case."""

import pytest
import vectors

CASES = vectors.cases()


@pytest.mark.parametrize(("name", "steps"), CASES, ids=[name.replace(" ", "-") for name, _ in CASES])
def test_vector(name, steps, tmp_path):
    run = vectors.Run(tmp_path)
    run.run(steps)
    assert run.counted > 0


def test_the_vectors_are_there():
    assert len(CASES) > 20


def test_what_is_left_out_is_a_verb_of_the_vectors():
    verbs = {step["do"] for _, steps in CASES for step in steps}
    assert set(vectors.LEFT_OUT) <= verbs
