#include "api/metrics.h"

#include <fmt/format.h>

#include "api/process_stats.h"
#include "server/server_version.h"

namespace quoin::api {
namespace {

// Appends families in the text format; the type line stands once above each.
class Renderer {
 public:
  void Gauge(std::string_view name, double value, std::string_view labels = "") {
    Family(name, "gauge", value, labels);
  }
  void Counter(std::string_view name, double value) { Family(name, "counter", value, ""); }
  void Histogram(std::string_view name, const DurationHistogram& histogram) {
    out_ += fmt::format("# TYPE {} histogram\n", name);
    uint64_t total = 0;
    for (size_t i = 0; i < histogram.buckets(); ++i) {
      total += histogram.count(i);
      out_ += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, histogram.bound_seconds(i), total);
    }
    total += histogram.count(histogram.buckets());
    out_ += fmt::format("{}_bucket{{le=\"+Inf\"}} {}\n{}_sum {}\n{}_count {}\n", name, total, name,
                        histogram.sum_seconds(), name, total);
  }
  std::string Take() { return std::move(out_); }

 private:
  void Family(std::string_view name, std::string_view type, double value, std::string_view labels) {
    out_ += fmt::format("# TYPE {} {}\n{}{} {}\n", name, type, name, labels, value);
  }
  std::string out_;
};

double Number(uint64_t value) { return static_cast<double>(value); }

void RenderServer(server::Frontend& frontend, Renderer& out) {
  const server::NodeInfo& info = frontend.info();
  out.Gauge("etcd_server_has_leader", info.leader.load() != 0);
  out.Gauge("etcd_server_is_leader", info.is_leader.load());
  out.Gauge("etcd_server_is_learner", info.is_learner.load());
  out.Gauge("etcd_server_id", 1, fmt::format("{{server_id=\"{:x}\"}}", info.member_id));
  out.Gauge("etcd_server_version", 1,
            fmt::format("{{server_version=\"{}\"}}", server::kServerVersion));
  if (frontend.cluster() != nullptr && !frontend.cluster()->cluster_version.empty()) {
    const std::string& version = frontend.cluster()->cluster_version;
    out.Gauge("etcd_cluster_version", 1,
              fmt::format("{{cluster_version=\"{}\"}}", version.substr(0, version.rfind('.'))));
  }
  out.Counter("etcd_server_leader_changes_seen_total", Number(info.leader_changes.value()));
  out.Gauge("etcd_server_proposals_committed_total", Number(info.commit_index.load()));
  out.Gauge("etcd_server_proposals_applied_total", Number(info.applied_index.load()));
  out.Gauge("etcd_server_proposals_pending", static_cast<double>(info.proposals_pending.value()));
  out.Counter("etcd_server_proposals_failed_total", Number(info.proposals_failed.value()));
  out.Counter("etcd_server_slow_apply_total", Number(info.slow_applies.value()));
  out.Counter("etcd_server_slow_read_indexes_total", Number(info.slow_read_indexes.value()));
  out.Counter("etcd_server_read_indexes_failed_total", Number(info.read_indexes_failed.value()));
  out.Gauge("etcd_server_quota_backend_bytes", static_cast<double>(frontend.config().quota_bytes));
}

void RenderStore(server::Frontend& frontend, Renderer& out) {
  const btree::Stats stats = frontend.tree().stats();
  out.Gauge("etcd_mvcc_db_total_size_in_bytes", Number(stats.file_bytes));
  out.Gauge("etcd_mvcc_db_total_size_in_use_in_bytes", Number(stats.in_use_bytes));
  out.Gauge("etcd_debugging_mvcc_current_revision",
            static_cast<double>(frontend.store().current_revision()));
  out.Gauge("etcd_debugging_mvcc_compact_revision",
            static_cast<double>(frontend.store().compact_revision()));
  out.Histogram("etcd_disk_wal_fsync_duration_seconds", frontend.info().wal_fsync);
  out.Histogram("etcd_disk_backend_commit_duration_seconds", frontend.info().backend_commit);
  out.Gauge("quoin_page_cache_bytes", Number(stats.cache_bytes));
  out.Gauge("quoin_dirty_page_bytes", Number(stats.dirty_bytes + stats.writing_bytes));
  out.Gauge("quoin_raft_log_bytes", Number(frontend.info().raft_log_bytes.load()));
}

void RenderProcess(const ProcessStats& stats, Renderer& out) {
  out.Counter("process_cpu_seconds_total", stats.cpu_seconds);
  out.Gauge("process_resident_memory_bytes", Number(stats.resident_bytes));
  out.Gauge("process_virtual_memory_bytes", Number(stats.virtual_bytes));
  out.Gauge("process_start_time_seconds", stats.start_time_seconds);
  out.Gauge("process_open_fds", Number(stats.open_files));
  out.Gauge("process_max_fds", Number(stats.files_max));
  out.Gauge("os_fd_used", Number(stats.open_files));
  out.Gauge("os_fd_limit", Number(stats.files_max));
}

}  // namespace

std::string RenderMetrics(const Context& context, server::Frontend& frontend) {
  Renderer out;
  RenderServer(frontend, out);
  RenderStore(frontend, out);
  RenderProcess(context.ReadProcessStats(), out);
  return out.Take();
}

}  // namespace quoin::api
