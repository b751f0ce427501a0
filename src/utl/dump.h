// The dump command: what a directory or file means (state), what its log holds record by record,
// and how its data file is laid out.
//
// Thread: one. Nothing on disk changes.
#pragma once

#include <iosfwd>
#include <string>

#include "base/status.h"
#include "env/blocking.h"
#include "utl/offline_member.h"

namespace quoin::utl {

// One JSON object, a key per line. `member` is replayed.
Status DumpStateJson(OfflineMember& member, std::ostream& out);
// Lines for people: "word value …".
Status DumpStateText(OfflineMember& member, std::ostream& out);

// Every record of every segment in `dir`, damaged ones last; one JSON object (or line) each. The
// entry payload's kind is named, not shown. DataLoss after the listing when a segment ends badly.
Status DumpLog(env::BlockingFileSystem& files, const std::string& dir, bool json,
               std::ostream& out);

// Metas, page counts and buckets of a data file, as they are on disk.
Status DumpTree(env::BlockingFileSystem& files, const std::string& path, bool json,
                std::ostream& out);

}  // namespace quoin::utl
