// The layout of a data file.

#include <boost/json.hpp>
#include <ostream>

#include "utl/dump.h"
#include "utl/file_facts.h"
#include "utl/text.h"

namespace quoin::utl {
namespace {

namespace json = boost::json;

json::object MetaJson(const std::optional<btree::Meta>& meta) {
  if (!meta) return {{"valid", false}};
  json::object out{{"valid", true},
                   {"txid", meta->txid},
                   {"root", meta->root},
                   {"high_water", meta->high_water},
                   {"page_size", meta->page_size}};
  if (meta->freelist == UINT64_MAX) {
    out["freelist"] = "none";
  } else {
    out["freelist"] = meta->freelist;
  }
  return out;
}

}  // namespace

Status DumpTree(env::BlockingFileSystem& files, const std::string& path, bool as_json,
                std::ostream& out) {
  ASSIGN_OR_RETURN(FileFacts facts, ReadFileFacts(files, path));
  if (as_json) {
    json::array buckets;
    for (const FileFacts::Bucket& bucket : facts.buckets) {
      buckets.push_back(json::object{
          {"name", BytesJson(bucket.name)}, {"pairs", bucket.pairs}, {"pages", bucket.pages}});
    }
    out << json::serialize(json::object{
               {"file_size", facts.file_bytes},
               {"page_size", facts.meta().page_size},
               {"high_water_pages", facts.meta().high_water},
               {"pages_reachable", facts.pages_reachable},
               {"pages_free", facts.pages_free},
               {"metas", json::array{MetaJson(facts.metas[0]), MetaJson(facts.metas[1])}},
               {"newest_meta", facts.newest},
               {"buckets", std::move(buckets)}})
        << '\n';
    return OkStatus();
  }
  out << "file_size " << facts.file_bytes << "\npage_size " << facts.meta().page_size
      << "\nhigh_water_pages " << facts.meta().high_water << "\npages_reachable "
      << facts.pages_reachable << "\npages_free " << facts.pages_free << '\n';
  for (size_t i = 0; i < facts.metas.size(); ++i) {
    out << "meta " << i << ' ' << json::serialize(MetaJson(facts.metas[i]))
        << (i == facts.newest ? " in use\n" : "\n");
  }
  for (const FileFacts::Bucket& bucket : facts.buckets) {
    out << "bucket " << Printable(bucket.name) << " pairs " << bucket.pairs << " pages "
        << bucket.pages << '\n';
  }
  return OkStatus();
}

}  // namespace quoin::utl
