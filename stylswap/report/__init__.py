"""Reports: one HTML file with everything inside, to be opened in a browser, kept, and sent on.

Nothing is loaded from anywhere: pictures are data URIs, charts are SVG, there are no scripts. All text is escaped, since names of
photos come from strangers; a content security policy in the page makes sure of both.
"""

from stylswap.report.chart import Curve, Curves
from stylswap.report.page import Card, Commands, Figures, Notes, Picture, PictureRow, Pictures, Section, Table, write_report
from stylswap.report.training import REPORT_FILE, duration, loss_curves, loss_section, write_train_report

__all__ = [
    "REPORT_FILE",
    "Card",
    "Commands",
    "Curve",
    "Curves",
    "Figures",
    "Notes",
    "Picture",
    "PictureRow",
    "Pictures",
    "Section",
    "Table",
    "duration",
    "loss_curves",
    "loss_section",
    "write_report",
    "write_train_report",
]
