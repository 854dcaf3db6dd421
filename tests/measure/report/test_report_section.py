import pytest

from mmsr_core.measure.report.section import Section, amount, arrow, change, megabytes, share, table


def test_a_table_has_its_pipes_aligned_and_its_numbers_to_the_right():
    assert table(["name", "dB"], [["deep", "28.51"], ["a|b", "9"]]).splitlines() == [
        "| name |    dB |",
        "| ---- | ----: |",
        "| deep | 28.51 |",
        "| a\\|b |     9 |",
    ]


def test_a_strangers_name_stays_in_its_cell():
    (_, _, row) = table(["name"], [["x\n| y |\x1b[31m"]]).splitlines()
    assert row == "| x \\| y \\| [31m |"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0.00"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (99.96, "100"),
        (1e6, "1,000,000"),
    ],
)
def test_an_amount_has_three_digits_or_more(value, text):
    assert amount(value) == text


def test_a_change_has_its_sign():
    assert (change(200, 150), change(100, 134.4)) == ("−25.0%", "+34.4%")


def test_a_change_from_nothing_or_to_the_unknown_is_unknown():
    assert (change(0, 5), change(None, 5), change(5, None)) == ("–", "–", "–")


def test_two_unknown_ends_are_one_unknown():
    assert arrow("–", "–") == "–"
    assert arrow("1", "–") == "1 → –"


def test_megabytes_are_of_a_million_bytes():
    assert megabytes(12_436_600_000) == "12,437"
    assert share(0.4189) == "41.9%"


def test_a_section_without_figures_is_its_title_and_its_note():
    section = Section("Pruning", notes=("no store; mmsr prepare makes one",))
    assert section.markdown() == "## Pruning\n\n*no store; mmsr prepare makes one*\n"
    assert section.outline() == "Pruning\n  no store; mmsr prepare makes one"
