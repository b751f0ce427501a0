// The protobuf format: the answer's bytes and nothing else.
#include <ostream>

#include "ctl/printer.h"

namespace quoin::ctl {
namespace {

class ProtobufPrinter : public Printer {
 public:
  explicit ProtobufPrinter(std::ostream& out) : out_(out) {}
  Status MemberChange(const google::protobuf::Message& response, std::string_view, uint64_t,
                      const etcdserverpb::ResponseHeader&) override {
    return Message(response);
  }
  Status Watch(const etcdserverpb::WatchResponse& response) override { return Message(response); }
  std::string_view format() const override { return "protobuf"; }

 protected:
  Status Message(const google::protobuf::Message& message) override {
    out_ << message.SerializeAsString();
    return OkStatus();
  }

 private:
  std::ostream& out_;
};

}  // namespace

std::unique_ptr<Printer> MakeProtobufPrinter(std::ostream& out) {
  return std::make_unique<ProtobufPrinter>(out);
}

}  // namespace quoin::ctl
