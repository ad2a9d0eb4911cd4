"""Reports: one HTML file with everything inside, to be opened in a browser, kept, and sent on.

Nothing is loaded from anywhere: pictures are data URIs, charts are SVG, there are no scripts. All text is escaped, since names of
photos come from strangers; a content security policy in the page makes sure of both.
"""

from stylswap.report.bars import Bar, BarCharts, Bars, Histogram
from stylswap.report.bins import BinChart, BinCharts
from stylswap.report.chart import Curve, Curves
from stylswap.report.compare import Comparison, Comparisons
from stylswap.report.evaluation import EvaluationView, PhotoView, write_evaluation_report
from stylswap.report.gallery import Gallery, Thumbnail, Tile, make_thumbnail
from stylswap.report.measured import Column, Figure, FigureRow, FigureTable
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
from stylswap.report.scatter import write_svg
from stylswap.report.study import (
    TRIVIAL,
    Study,
    StudyRow,
    study_trade_off,
    table_markdown,
    with_front,
    write_study_report,
    write_table_csv,
)
from stylswap.report.study_sheet import study_sheet
from stylswap.report.swap import write_swap_report
from stylswap.report.swap_run import SwapRun
from stylswap.report.trade_off import TradeOff, TradePoint, pareto_front
from stylswap.report.training import REPORT_FILE, duration, loss_curves, loss_section, write_train_report

__all__ = [
    "REPORT_FILE",
    "TRIVIAL",
    "Bar",
    "BarCharts",
    "Bars",
    "BinChart",
    "BinCharts",
    "Card",
    "Column",
    "Commands",
    "Comparison",
    "Comparisons",
    "Curve",
    "Curves",
    "EvaluationView",
    "Figure",
    "FigureRow",
    "FigureTable",
    "Figures",
    "Gallery",
    "Group",
    "Groups",
    "Histogram",
    "Notes",
    "PhotoView",
    "Picture",
    "PictureRow",
    "Pictures",
    "Section",
    "Study",
    "StudyRow",
    "SwapRun",
    "Table",
    "Thumbnail",
    "Tile",
    "TradeOff",
    "TradePoint",
    "duration",
    "loss_curves",
    "loss_section",
    "make_thumbnail",
    "pareto_front",
    "study_sheet",
    "study_trade_off",
    "table_markdown",
    "with_front",
    "write_evaluation_report",
    "write_report",
    "write_study_report",
    "write_svg",
    "write_swap_report",
    "write_table_csv",
    "write_train_report",
]
