#include "ctl/printer.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <sstream>

#include "ctl/text.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

template <typename Message>
Message FromText(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

constexpr char kHeader[] =
    "header { cluster_id: 14841639068965178418 member_id: 10276657743932975437 revision: 7 "
    "raft_term: 2 } ";
constexpr char kKv[] = R"({ key: "k<1>" create_revision: 2 mod_revision: 7 version: 3 )"
                       R"(value: "v\x00\n\xff" lease: 26 } )";

// What `print` writes in one format, errors on stderr included and marked.
template <typename Print>
std::string Printed(std::string_view format, PrinterOptions options, Print print) {
  std::ostringstream out;
  std::ostringstream err;
  const auto printer = MakePrinter(format, options, out, err);
  const Status status = print(*printer);
  if (!status.ok()) return "refused: " + std::string(Message(status));
  return out.str() + (err.str().empty() ? "" : "stderr: " + err.str());
}

std::string Get(std::string_view format, PrinterOptions options = {}) {
  const auto response =
      FromText<pb::RangeResponse>(std::string(kHeader) + "kvs " + kKv + "more: true count: 9");
  return Printed(format, options, [&](Printer& printer) { return printer.Get(response); });
}

TEST(PrinterTest, Get) {
  EXPECT_EQ(Get("simple"), std::string("k<1>\nv\0\n\xff\n", 10));
  EXPECT_EQ(Get("simple", {.hex = true}), "\\x6b\\x3c\\x31\\x3e\n\\x76\\x00\\x0a\\xff\n");
  EXPECT_EQ(Get("simple", {.values_only = true}), std::string("v\0\n\xff\n", 5));
  EXPECT_EQ(Get("fields"),
            "\"ClusterID\" : 14841639068965178418\n\"MemberID\" : "
            "10276657743932975437\n\"Revision\" : 7\n"
            "\"RaftTerm\" : 2\n\"Key\" : \"k<1>\"\n\"CreateRevision\" : 2\n\"ModRevision\" : "
            "7\n\"Version\" : 3\n"
            "\"Value\" : \"v\\x00\\n\\xff\"\n\"Lease\" : 26\n\"More\" : true\n\"Count\" : 9\n");
  EXPECT_EQ(
      Get("json"),
      R"({"header":{"cluster_id":14841639068965178418,"member_id":10276657743932975437,)"
      R"("revision":7,)"
      R"("raft_term":2},"kvs":[{"key":"azwxPg==","create_revision":2,"mod_revision":7,"version":3,)"
      R"("value":"dgAK/w==","lease":26}],"more":true,"count":9})"
      "\n");
  EXPECT_EQ(Get("protobuf").size(),
            FromText<pb::RangeResponse>(std::string(kHeader) + "kvs " + kKv + "more: true count: 9")
                .ByteSizeLong());
  EXPECT_EQ(Get("table"), "refused: table not supported as output format");
}

TEST(PrinterTest, HexFieldsShowIds) {
  const std::string text = Get("fields", {.hex = true});
  EXPECT_NE(
      text.find(
          "\"ClusterID\" : cdf818194e3a8c32\n\"MemberID\" : 8e9e05c52164694d\n\"Revision\" : 7\n"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("\"Lease\" : 1a\n"), std::string::npos) << text;
}

TEST(PrinterTest, Put) {
  const auto with =
      FromText<pb::PutResponse>(std::string(kHeader) + "prev_kv { key: \"k\" value: \"old\" }");
  const auto print = [&](Printer& printer) { return printer.Put(with); };
  EXPECT_EQ(Printed("simple", {}, print), "OK\nk\nold\n");
  EXPECT_EQ(
      Printed("fields", {}, print),
      "\"ClusterID\" : 14841639068965178418\n\"MemberID\" : 10276657743932975437\n\"Revision\" : "
      "7\n"
      "\"RaftTerm\" : 2\n\"PrevKey\" : \"k\"\n\"PrevCreateRevision\" : 0\n\"PrevModRevision\" : 0\n"
      "\"PrevVersion\" : 0\n\"PrevValue\" : \"old\"\n\"PrevLease\" : 0\n");
  EXPECT_EQ(Printed("simple", {}, [](Printer& printer) { return printer.Put(pb::PutResponse()); }),
            "OK\n");
}

TEST(PrinterTest, Delete) {
  const auto response = FromText<pb::DeleteRangeResponse>(
      "header { } deleted: 2 prev_kvs { key: \"a\" value: \"1\" }");
  const auto print = [&](Printer& printer) { return printer.Delete(response); };
  EXPECT_EQ(Printed("simple", {}, print), "2\na\n1\n");
  EXPECT_EQ(Printed("json", {}, print),
            R"({"header":{},"deleted":2,"prev_kvs":[{"key":"YQ==","value":"MQ=="}]})"
            "\n");
}

TEST(PrinterTest, Txn) {
  const auto response = FromText<pb::TxnResponse>(
      "header { revision: 4 } succeeded: true "
      "responses { response_put { header { revision: 4 } } } "
      "responses { response_range { header { revision: 4 } kvs { key: \"a\" value: \"1\" } count: "
      "1 } } "
      "responses { response_delete_range { header { revision: 4 } deleted: 1 } } responses { }");
  const auto print = [&](Printer& printer) { return printer.Txn(response); };
  EXPECT_EQ(Printed("simple", {}, print), "SUCCESS\n\nOK\n\na\n1\n\n1\n\nunexpected response \n");
  EXPECT_EQ(Printed("json", {}, print),
            R"({"header":{"revision":4},"succeeded":true,"responses":[)"
            R"({"Response":{"response_put":{"header":{"revision":4}}}},)"
            R"({"Response":{"response_range":{"header":{"revision":4},)"
            R"("kvs":[{"key":"YQ==","value":"MQ=="}],"count":1}}},)"
            R"({"Response":{"response_delete_range":{"header":{"revision":4},"deleted":1}}},)"
            R"({"Response":null}]})"
            "\n");
  EXPECT_EQ(Printed("simple", {}, [](Printer& printer) { return printer.Txn(pb::TxnResponse()); }),
            "FAILURE\n");
}

TEST(PrinterTest, Alarms) {
  const auto response =
      FromText<pb::AlarmResponse>("header { member_id: 5 } alarms { memberID: 5 alarm: NOSPACE }");
  const auto print = [&](Printer& printer) { return printer.Alarms(response); };
  EXPECT_EQ(Printed("simple", {}, print), "memberID:5 alarm:NOSPACE\n");
  EXPECT_EQ(Printed("fields", {}, print),
            "\"ClusterID\" : 0\n\"MemberID\" : 5\n\"RaftTerm\" : 0\n\"MemberID\" : "
            "5\n\"AlarmType\" : NOSPACE\n\n");
  EXPECT_EQ(Printed("json", {}, print),
            R"({"header":{"member_id":5},"alarms":[{"memberID":5,"alarm":1}]})"
            "\n");
}

const char kMembers[] =
    "header { cluster_id: 255 member_id: 16 raft_term: 2 } "
    "members { ID: 16 name: \"m<0>\" peerURLs: \"http://a:1\" peerURLs: \"http://a:2\" clientURLs: "
    "\"http://a:3\" } "
    "members { ID: 171 peerURLs: \"http://b:1\" isLearner: true }";

TEST(PrinterTest, MemberList) {
  const auto response = FromText<pb::MemberListResponse>(kMembers);
  const auto print = [&](Printer& printer) { return printer.MemberList(response); };
  EXPECT_EQ(Printed("simple", {}, print),
            "10, started, m<0>, http://a:1,http://a:2, http://a:3, false\nab, unstarted, , "
            "http://b:1, , true\n");
  EXPECT_EQ(
      Printed("fields", {}, print),
      "\"ClusterID\" : 255\n\"MemberID\" : 16\n\"RaftTerm\" : 2\n"
      "\"ID\" : 16\n\"Name\" : \"m<0>\"\n\"PeerURL\" : \"http://a:1\"\n\"PeerURL\" : "
      "\"http://a:2\"\n"
      "\"ClientURL\" : \"http://a:3\"\n\"IsLearner\" : false\n\n"
      "\"ID\" : 171\n\"Name\" : \"\"\n\"PeerURL\" : \"http://b:1\"\n\"IsLearner\" : true\n\n");
  EXPECT_EQ(Printed("json", {}, print),
            R"({"header":{"cluster_id":255,"member_id":16,"raft_term":2},)"
            R"("members":[{"ID":16,"name":"m\u003c0\u003e",)"
            R"("peerURLs":["http://a:1","http://a:2"],"clientURLs":["http://a:3"]},{"ID":171,)"
            R"("peerURLs":["http://b:1"],"isLearner":true}]})"
            "\n");
  EXPECT_EQ(Printed("json", {.hex = true}, print).substr(0, 80),
            R"({"header":{"cluster_id":"ff","member_id":"10","raft_term":2},"members":[{"ID":"1)");
  EXPECT_EQ(Printed("table", {}, print),
            "┌────┬───────────┬──────┬───────────────────────┬──────────────┬────────────┐\n"
            "│ ID │  STATUS   │ NAME │      PEER ADDRS       │ CLIENT ADDRS │ IS LEARNER │\n"
            "├────┼───────────┼──────┼───────────────────────┼──────────────┼────────────┤\n"
            "│ 10 │   started │ m<0> │ http://a:1,http://a:2 │   http://a:3 │      false │\n"
            "│ ab │ unstarted │      │            http://b:1 │              │       true │\n"
            "└────┴───────────┴──────┴───────────────────────┴──────────────┴────────────┘\n");
}

TEST(PrinterTest, Health) {
  const EndpointHealth endpoints[] = {{"a:1", true, "1.5ms", ""},
                                      {"b:1", false, "", "context deadline exceeded"}};
  const auto print = [&](Printer& printer) { return printer.Health(endpoints); };
  EXPECT_EQ(Printed("simple", {}, print),
            "a:1 is healthy: successfully committed proposal: took = 1.5ms\n"
            "stderr: b:1 is unhealthy: failed to commit proposal: context deadline exceeded\n");
  EXPECT_EQ(Printed("json", {}, print),
            R"([{"endpoint":"a:1","health":true,"took":"1.5ms"},)"
            R"({"endpoint":"b:1","health":false,"took":"","error":"context deadline exceeded"}])"
            "\n");
  EXPECT_EQ(Printed("fields", {}, print),
            "\"Endpoint\" : \"a:1\"\n\"Health\" : true\n\"Took\" : 1.5ms\n\"Error\" : \n\n"
            "\"Endpoint\" : \"b:1\"\n\"Health\" : false\n\"Took\" : \n\"Error\" : context deadline "
            "exceeded\n\n");
  EXPECT_EQ(Printed("protobuf", {}, print), "refused: protobuf not supported as output format");
}

TEST(PrinterTest, Statuses) {
  const EndpointStatus endpoints[] = {
      {"a:1", FromText<pb::StatusResponse>(
                  "header { member_id: 16 revision: 3 raft_term: 4 } version: \"3.7.1\" "
                  "dbSize: 25000 leader: 16 raftIndex: 9 raftTerm: 4 raftAppliedIndex: 8 "
                  "errors: \"one\" errors: \"two\" dbSizeInUse: 20000 storageVersion: \"3.7.0\" "
                  "dbSizeQuota: 2147483648 downgradeInfo { }")}};
  const auto print = [&](Printer& printer) { return printer.Statuses(endpoints); };
  EXPECT_EQ(Printed("simple", {}, print),
            "a:1, 10, 3.7.1, 3.7.0, 25 kB, 20 kB, 20%, 2.1 GB, true, false, 4, 9, 8, one, two, , "
            "false\n");
  EXPECT_EQ(Printed("json", {}, print),
            R"([{"Endpoint":"a:1","Status":{"header":{"member_id":16,"revision":3,"raft_term":4},)"
            R"("version":"3.7.1",)"
            R"("dbSize":25000,"leader":16,"raftIndex":9,"raftTerm":4,"raftAppliedIndex":8,)"
            R"("errors":["one","two"],)"
            R"("dbSizeInUse":20000,"storageVersion":"3.7.0","dbSizeQuota":2147483648,)"
            R"("downgradeInfo":{}}}])"
            "\n");
  EXPECT_EQ(Printed("fields", {}, print),
            "\"ClusterID\" : 0\n\"MemberID\" : 16\n\"Revision\" : 3\n\"RaftTerm\" : 4\n\"Version\" "
            ": \"3.7.1\"\n"
            "\"StorageVersion\" : \"3.7.0\"\n\"DBSize\" : 25000\n\"DBSizeInUse\" : "
            "20000\n\"DBSizeQuota\" : 2147483648\n"
            "\"Leader\" : 16\n\"IsLearner\" : false\n\"RaftIndex\" : 9\n\"RaftAppliedIndex\" : 8\n"
            "\"Errors\" : [one two]\n\"Endpoint\" : \"a:1\"\n\"DowngradeTargetVersion\" : \"\"\n"
            "\"DowngradeEnabled\" : false\n\n");
  EXPECT_EQ(Printed("simple", {},
                    [](Printer& printer) {
                      const EndpointStatus empty[] = {{"x", pb::StatusResponse()}};
                      return printer.Statuses(empty);
                    }),
            "x, 0, , , 0 B, 0 B, 0%, 0 B, true, false, 0, 0, 0, , , false\n");
}

TEST(PrinterTest, Hashes) {
  const EndpointHashKv endpoints[] = {
      {"a:1", FromText<pb::HashKVResponse>(
                  "header { } hash: 4084388426 compact_revision: 2 hash_revision: 5")}};
  const auto print = [&](Printer& printer) { return printer.Hashes(endpoints); };
  EXPECT_EQ(Printed("simple", {}, print), "a:1, 4084388426, 5\n");
  EXPECT_EQ(Printed("json", {}, print),
            R"([{"Endpoint":"a:1","HashKV":{"header":{},"hash":4084388426,)"
            R"("compact_revision":2,"hash_revision":5}}])"
            "\n");
  EXPECT_EQ(Printed("table", {}, print),
            "┌──────────┬────────────┬───────────────┐\n"
            "│ ENDPOINT │    HASH    │ HASH REVISION │\n"
            "├──────────┼────────────┼───────────────┤\n"
            "│      a:1 │ 4084388426 │             5 │\n"
            "└──────────┴────────────┴───────────────┘\n");
}

TEST(PrinterTest, UnknownFormatIsNoPrinter) {
  std::ostringstream out;
  EXPECT_EQ(MakePrinter("xml", {}, out, out), nullptr);
}

TEST(JsonTest, EscapesStringsAsGoDoes) {
  const EndpointHealth endpoints[] = {{"<&>\"\\\b\f\n\r\t\x01\x7f\u2028\xff\u00e9", true, "", ""}};
  EXPECT_EQ(Printed("json", {}, [&](Printer& printer) { return printer.Health(endpoints); }),
            R"([{"endpoint":"\u003c\u0026\u003e\"\\\b\f\n\r\t\u0001)"
            "\x7f"
            R"(\u2028\ufffd)"
            "\u00e9"
            R"(","health":true,"took":""}])"
            "\n");
}

}  // namespace
}  // namespace quoin::ctl
