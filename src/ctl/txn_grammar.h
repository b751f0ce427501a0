// The transaction language of `txn`: comparisons, then the requests of either branch, each part
// closed by a blank line.
//
//   transaction := comparison* blank request* blank request* blank
//   comparison  := target '(' quoted-key ') ' operator ' ' quoted-value
//   target      := ver | version | c | create | m | mod | val | value | lease
//   operator    := = | != | < | >
//   request     := (get | put | del) words, as on a command line; 'literal' and "quoted" words
//
// Thread: any; pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ctl/text.h"
#include "proto/rpc.pb.h"

namespace quoin::ctl {

// Revisions and versions are decimal, leases hexadecimal as everywhere in this program.
StatusOr<etcdserverpb::Compare> ParseCompare(std::string_view line);

// Splits a request line into words. 'single quotes' are literal, "double quotes" know Go's escapes.
StatusOr<std::vector<std::string>> SplitWords(std::string_view line);

struct TxnRequestLine {
  etcdserverpb::RequestOp op;
  std::string warning;  // to be shown before the line counts (see DeleteWarning); mostly empty
};

// An error of the line itself is OutOfRange; one of its flags or arguments has the code that
// kv_requests.h says.
StatusOr<TxnRequestLine> ParseRequestLine(std::string_view line);

}  // namespace quoin::ctl
