"""What the benchmarks say of their times: medians, pair by pair, held against an aim."""

import pytest
from bench.measure import Pair, Row, Took, compared, table


def row(kind, *walls, aim=None):
    pairs = [Pair(Took(ours, ours), Took(beside, beside)) for ours, beside in walls]
    return Row("section", "what", "beside", kind, pairs, aim)


def test_a_figure_is_the_median_of_the_pairs_not_the_ratio_of_the_medians():
    assert row("ratio", (1, 1), (2, 4), (9, 3)).figure() == 1
    assert row("over", (5, 1), (6, 4), (9, 8)).figure() == 2


@pytest.mark.parametrize(("aim", "verdict"), [(None, ""), (2.0, "ok"), (1.9, "MISS")])
def test_the_verdict_follows_the_aim(aim, verdict):
    assert row("over", (3, 1), aim=aim).verdict == verdict


def test_a_floor_of_nothing_is_no_division_by_zero():
    assert compared("ratio", 1.0, 0.0) > 1000


def test_the_table_shows_what_is_missed_and_what_was_seen():
    said = table([row("ratio", (3, 2), aim=1.3)])
    assert "MISS" in said
    assert "1.500 x" in said
    assert "<= 1.3x" in said


def test_the_data_holds_every_pair():
    data = row("over", (3, 1), (4, 1), aim=5).data()
    assert data["pairs"] == [[3, 1], [4, 1]]
    assert (data["figure"], data["verdict"], data["runs"]) == (2.5, "ok", 2)
