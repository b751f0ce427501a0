// The table format: boxes in Unicode's light lines, header centred in capitals, cells to the right.
#include <algorithm>
#include <ostream>

#include "ctl/printer.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

// Characters, not bytes. (No cell holds wide or combining characters unless a member's name does.)
size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    char32_t c = 0;
    text.remove_prefix(std::max<size_t>(DecodeUtf8(text, c), 1));
    ++width;
  }
  return width;
}

std::string Spaces(size_t count) { return std::string(count, ' '); }

struct RuleEnds {
  std::string_view left;
  std::string_view middle;
  std::string_view right;
};

class TablePrinter : public Printer {
 public:
  explicit TablePrinter(std::ostream& out) : out_(out) {}

  Status MemberList(const etcdserverpb::MemberListResponse& response) override {
    return Draw(MemberTable(response));
  }
  Status Health(std::span<const EndpointHealth> endpoints) override {
    return Draw(HealthTable(endpoints));
  }
  Status Statuses(std::span<const EndpointStatus> endpoints) override {
    return Draw(StatusTable(endpoints));
  }
  Status Hashes(std::span<const EndpointHashKv> endpoints) override {
    return Draw(HashTable(endpoints));
  }

  Status MemberChange(const google::protobuf::Message&, std::string_view, uint64_t,
                      const etcdserverpb::ResponseHeader&) override {
    return Unsupported();
  }
  std::string_view format() const override { return "table"; }

 private:
  Status Draw(Table table) {
    // An underscore in a title reads as a space.
    for (std::string& title : table.header) {
      title = Upper(title);
      std::replace(title.begin(), title.end(), '_', ' ');
    }
    std::vector<size_t> widths;
    for (size_t i = 0; i < table.header.size(); ++i) {
      size_t width = DisplayWidth(table.header[i]);
      for (const auto& row : table.rows) width = std::max(width, DisplayWidth(row[i]));
      widths.push_back(width);
    }
    Rule(widths, {"┌", "┬", "┐"});
    out_ << "│";
    for (size_t i = 0; i < widths.size(); ++i) {
      const size_t gap = widths[i] - DisplayWidth(table.header[i]);
      out_ << ' ' << Spaces(gap / 2) << table.header[i] << Spaces(gap - gap / 2) << " │";
    }
    out_ << '\n';
    Rule(widths, {"├", "┼", "┤"});
    for (const auto& row : table.rows) {
      out_ << "│";
      for (size_t i = 0; i < widths.size(); ++i) {
        out_ << ' ' << Spaces(widths[i] - DisplayWidth(row[i])) << row[i] << " │";
      }
      out_ << '\n';
    }
    Rule(widths, {"└", "┴", "┘"});
    return OkStatus();
  }

  void Rule(const std::vector<size_t>& widths, const RuleEnds& ends) {
    out_ << ends.left;
    for (size_t i = 0; i < widths.size(); ++i) {
      if (i > 0) out_ << ends.middle;
      for (size_t j = 0; j < widths[i] + 2; ++j) out_ << "─";
    }
    out_ << ends.right << '\n';
  }

  std::ostream& out_;
};

}  // namespace

std::unique_ptr<Printer> MakeTablePrinter(std::ostream& out) {
  return std::make_unique<TablePrinter>(out);
}

}  // namespace quoin::ctl
