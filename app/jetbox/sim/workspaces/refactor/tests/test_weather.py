from weather import mean, parse, report

TEXT = """\
Oslo;-3.5
Lima; 19.0

Cairo;24.5
"""


def test_every_line_is_read() -> None:
    assert len(parse(TEXT)) == 3


def test_mean() -> None:
    assert round(mean(parse(TEXT)), 2) == 13.33


def test_report() -> None:
    assert report(parse(TEXT)).splitlines() == [
        "Oslo: -3.5",
        "Lima: 19.0",
        "Cairo: 24.5",
        "mean 13.3, coldest Oslo at -3.5",
    ]
