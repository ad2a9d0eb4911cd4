"""Reports: one HTML file with everything inside, to be opened in a browser, kept, and sent on.

Nothing is loaded from anywhere: pictures are data URIs, charts are SVG, there are no scripts. All text is escaped, since names of
photos come from strangers; a content security policy in the page makes sure of both.
"""

from stylswap.report.bars import Bar, BarCharts, Bars, Histogram
from stylswap.report.chart import Curve, Curves
from stylswap.report.compare import Comparison, Comparisons
from stylswap.report.gallery import Gallery, Thumbnail, Tile, make_thumbnail
from stylswap.report.page import (
    Card,
    Commands,
    Figures,
    Group,
    Groups,
    Notes,
    Picture,
    PictureRow,
    Pictures,
    Section,
    Table,
    write_report,
)
from stylswap.report.swap import write_swap_report
from stylswap.report.swap_run import SwapRun
from stylswap.report.training import REPORT_FILE, duration, loss_curves, loss_section, write_train_report

__all__ = [
    "REPORT_FILE",
    "Bar",
    "BarCharts",
    "Bars",
    "Card",
    "Commands",
    "Comparison",
    "Comparisons",
    "Curve",
    "Curves",
    "Figures",
    "Gallery",
    "Group",
    "Groups",
    "Histogram",
    "Notes",
    "Picture",
    "PictureRow",
    "Pictures",
    "Section",
    "SwapRun",
    "Table",
    "Thumbnail",
    "Tile",
    "duration",
    "loss_curves",
    "loss_section",
    "make_thumbnail",
    "write_report",
    "write_swap_report",
    "write_train_report",
]
