// txn: reads the three parts of a transaction and runs it.
#include <istream>
#include <ostream>
#include <string>

#include "absl/functional/function_ref.h"
#include "cli/pause.h"
#include "ctl/families.h"
#include "ctl/text.h"
#include "ctl/txn_grammar.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

constexpr env::Duration kDeletePause = std::chrono::seconds(2);

// Lines up to a blank one, each given to `take`. The end of the input before that is an error.
Status ReadPart(std::istream& in, absl::FunctionRef<Status(std::string_view)> take) {
  std::string line;
  while (std::getline(in, line) && !in.eof()) {
    const std::string_view text = Stripped(line);
    if (text.empty()) return OkStatus();
    RETURN_IF_ERROR(take(text));
  }
  return absl::OutOfRangeError("EOF");
}

class TransactionReader {
 public:
  explicit TransactionReader(Invocation& invocation)
      : invocation_(invocation), interactive_(invocation.flags().Bool("interactive")) {}

  StatusOr<pb::TxnRequest> Read() {
    pb::TxnRequest request;
    Heading("compares:");
    RETURN_IF_ERROR(ReadPart(invocation_.in(), [&](std::string_view line) -> Status {
      ASSIGN_OR_RETURN(*request.add_compare(), ParseCompare(line));
      return OkStatus();
    }));
    Heading("success requests (get, put, del):");
    RETURN_IF_ERROR(ReadRequests(*request.mutable_success()));
    Heading("failure requests (get, put, del):");
    RETURN_IF_ERROR(ReadRequests(*request.mutable_failure()));
    return request;
  }

 private:
  void Heading(std::string_view text) {
    if (interactive_) invocation_.out() << text << std::endl;
  }

  Status ReadRequests(google::protobuf::RepeatedPtrField<pb::RequestOp>& requests) {
    return ReadPart(invocation_.in(), [&](std::string_view text) -> Status {
      ASSIGN_OR_RETURN(TxnRequestLine line, ParseRequestLine(text));
      if (!line.warning.empty()) {
        invocation_.err() << line.warning << std::flush;
        cli::Pause(invocation_.world().loop, kDeletePause);
      }
      *requests.Add() = std::move(line.op);
      return OkStatus();
    });
  }

  Invocation& invocation_;
  const bool interactive_;
};

}  // namespace

ExitCode RunTxn(Invocation& invocation) {
  if (!invocation.arguments().empty()) {
    return invocation.Fail(ExitCode::kBadArguments, "txn command does not accept argument");
  }
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const StatusOr<pb::TxnRequest> request = TransactionReader(invocation).Read();
  if (!request.ok()) return invocation.FailRequest(request.status());
  const auto response = invocation.Call(client::kTxn, *request);
  if (!response.ok()) return invocation.FailCall(response.status());
  return invocation.Printed(invocation.printer().Txn(*response));
}

}  // namespace quoin::ctl
