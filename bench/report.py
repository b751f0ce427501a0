"""The tables of bench/run.py: on a terminal, and in a document between two marks."""
import statistics

COLUMNS = [("ops_per_s", "op/s", "%.0f"), ("mean_ms", "mean ms", "%.2f"), ("p50_ms", "p50 ms", "%.2f"),
           ("p99_ms", "p99 ms", "%.2f"), ("p999_ms", "p999 ms", "%.2f"), ("cpu_us_per_op", "CPU us/op", "%.2f"),
           ("anon_mib", "anon MiB", "%.0f"), ("file_mib", "file MiB", "%.0f")]


def median_row(legs, server, workload):
    rows = [leg["workloads"][workload] for leg in legs if leg["server"] == server]
    return {key: statistics.median(r[key] for r in rows) for key, _, _ in COLUMNS if rows and key in rows[0]}


def spread(legs, server, workload):
    rates = [leg["workloads"][workload]["ops_per_s"] for leg in legs if leg["server"] == server]
    return "%.0f%%" % (100 * (max(rates) - min(rates)) / statistics.median(rates)) if len(rates) > 1 else "-"


def print_table(legs, servers, titles):
    print("\n%-24s %-7s" % ("workload", "server") + "".join("%11s" % head for _, head, _ in COLUMNS) + "%8s" % "spread")
    for workload, title in titles.items():
        rows = {server: median_row(legs, server, workload) for server in servers}
        for server, row in rows.items():
            cells = ["%11s" % (form % row[key] if key in row else "-") for key, _, form in COLUMNS]
            print("%-24s %-7s%s%8s" % (title, server, "".join(cells), spread(legs, server, workload)))
        if len(servers) == 2:
            a, b = rows.values()
            cells = ["%11s" % ("%.2fx" % (a[key] / b[key]) if b.get(key) else "-") for key, _, _ in COLUMNS]
            print("%-24s %-7s%s" % ("", "ratio", "".join(cells)))
    probes = [leg["sync_probe"]["p50_ms"] for leg in legs]
    print("\nfdatasync of 4 KiB before each turn: median %.2f ms (%.2f to %.2f)" % (
        statistics.median(probes), min(probes), max(probes)))


def markdown(legs, servers, titles):
    """The same table for a document: the medians of each server, and their ratio."""
    lines = ["| workload | server | " + " | ".join(head for _, head, _ in COLUMNS) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    for workload, title in titles.items():
        rows = {server: median_row(legs, server, workload) for server in servers}
        for server, row in rows.items():
            cells = [form % row[key] if key in row else "" for key, _, form in COLUMNS]
            lines.append("| %s | %s | %s |" % (title if server == servers[0] else "", server, " | ".join(cells)))
        if len(servers) == 2:
            a, b = rows.values()
            cells = ["%.2f" % (a[key] / b[key]) if b.get(key) else "" for key, _, _ in COLUMNS]
            lines.append("| | **ratio** | %s |" % " | ".join(cells))
    probes = [leg["sync_probe"]["p50_ms"] for leg in legs]
    lines += ["", "fdatasync of 4 KiB before each turn: median %.2f ms (%.2f to %.2f)." % (
        statistics.median(probes), min(probes), max(probes))]
    return "\n".join(lines)


def replace_between(path, name, text):
    """Puts `text` between `<!-- NAME: begin -->` and `<!-- NAME: end -->` of the document."""
    begin, end = "<!-- %s: begin -->\n" % name, "<!-- %s: end -->" % name
    with open(path) as f:
        before, _, rest = f.read().partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise RuntimeError("%s has no place for %r" % (path, name))
    with open(path, "w") as f:
        f.write(before + begin + text + "\n" + end + after)
