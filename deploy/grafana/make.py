#!/usr/bin/python3
"""Writes the dashboard mgid.json from the rows below; run it after a change."""
import json
import os

BY = "sum by (flow)"
PANELS = [
    # (title, unit, [(query, legend)])
    ("Mails taken", "cps", [(f"{BY} (rate(mgid_mails_accepted_total[5m]))", "{{flow}}")]),
    ("Mails refused", "cps", [(f"{BY} (rate(mgid_mails_rejected_total[5m]))", "{{flow}} 5xx"),
                              (f"{BY} (rate(mgid_mails_deferred_in_total[5m]))", "{{flow}} 4xx")]),
    ("Recipients delivered", "cps", [(f"{BY} (rate(mgid_deliveries_ok_total[5m]))", "{{flow}}")]),
    ("Deferred and failed", "cps", [(f"{BY} (rate(mgid_deliveries_deferred_total[5m]))", "{{flow}} deferred"),
                                    (f"{BY} (rate(mgid_deliveries_failed_total[5m]))", "{{flow}} failed")]),
    ("Queue", "short", [(f"{BY} (mgid_queue_mails)", "{{flow}} mails"),
                        (f"{BY} (mgid_queue_recipients)", "{{flow}} recipients")]),
    ("TLS demand not met", "short", [(f"{BY} (increase(mgid_tls_demand_unmet_total[5m]))", "{{flow}}")]),
    ("TLS handshakes", "cps", [(f"{BY} (rate(mgid_sessions_tls_in_total[5m]))", "{{flow}} in"),
                               (f"{BY} (rate(mgid_sessions_tls_out_total[5m]))", "{{flow}} out"),
                               (f"{BY} (rate(mgid_tls_handshake_failures_in_total[5m]))", "{{flow}} in, failed"),
                               (f"{BY} (rate(mgid_tls_handshake_failures_out_total[5m]))", "{{flow}} out, failed")]),
    ("Connections open", "short", [(f"{BY} (mgid_sessions_open)", "{{flow}} in"),
                                   (f"{BY} (mgid_connections_out_open)", "{{flow}} out")]),
    ("Group commit", "s", [(f"{BY} (rate(mgid_sync_seconds_total[5m])) / {BY} (rate(mgid_batches_committed_total[5m]))",
                            "{{flow}} mean time")]),
    ("Mails in a group commit", "short",
     [(f"{BY} (rate(mgid_batch_records_total[5m])) / {BY} (rate(mgid_batches_committed_total[5m]))", "{{flow}}")]),
    ("Delivery: median and 95 %", "s", [
        (f"histogram_quantile({q}, sum by (flow, le) (rate(mgid_delivery_seconds_bucket[5m])))", f"{{{{flow}}}} {q}")
        for q in (0.5, 0.95)]),
    ("Oldest mail", "s", [("max by (flow) (mgid_queue_oldest_seconds)", "{{flow}}")]),
    ("Mail sizes: median and 95 %", "bytes", [
        (f"histogram_quantile({q}, sum by (flow, le) (rate(mgid_mail_bytes_bucket[5m])))", f"{{{{flow}}}} {q}")
        for q in (0.5, 0.95)]),
    ("Sync: 95 %", "s", [
        ("histogram_quantile(0.95, sum by (flow, le) (rate(mgid_commit_seconds_bucket[5m])))", "{{flow}}")]),
    ("Workers", "short", [(f"{BY} (mgid_worker_up)", "{{flow}} up"),
                          (f"{BY} (increase(mgid_worker_starts_total[1h]))", "{{flow}} starts in an hour")]),
    ("Policy generation", "short", [("mgid_policy_generation", "{{instance}}")]),
]


def panel(number, title, unit, targets):
    return {
        "id": number + 1, "title": title, "type": "timeseries",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [{"expr": expr, "legendFormat": legend, "refId": chr(65 + i)}
                    for i, (expr, legend) in enumerate(targets)],
    }


DASHBOARD = {
    "title": "mgid", "uid": "mgid", "schemaVersion": 38, "version": 1, "editable": True, "refresh": "30s",
    "time": {"from": "now-6h", "to": "now"}, "tags": ["mail"],
    "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
    "panels": [panel(i, *p) for i, p in enumerate(PANELS)],
}

if __name__ == "__main__":
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mgid.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(DASHBOARD, file, indent=2)
        file.write("\n")
