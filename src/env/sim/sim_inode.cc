#include "env/sim/sim_inode.h"

#include <algorithm>
#include <map>

namespace quoin::env {
namespace {

// How far one sector got: which of its writes reached the platter.
struct SectorFate {
  uint64_t writes = 0;      // since it was durable
  uint64_t kept = 0;        // the first so many are there
  uint64_t torn_bytes = 0;  // of the last one kept only so many; 0 = all
};

// Most sectors are all there or not at all; some show a content in between.
uint64_t DrawKept(uint64_t writes, Prng& random) {
  const uint64_t die = random.Below(16);
  if (die < 7) return writes;
  if (die < 13) return 0;
  return random.Below(writes + 1);
}

// Calls `each(sector, from, to)` for the parts of [begin, end) by sector.
template <typename F>
void BySector(uint64_t begin, uint64_t end, F each) {
  while (begin < end) {
    const uint64_t sector = begin / kSectorBytes;
    const uint64_t stop = std::min(end, (sector + 1) * kSectorBytes);
    each(sector, begin, stop);
    begin = stop;
  }
}

}  // namespace

uint64_t SimInode::space_bytes() const { return std::max(reserved_, seen_.stored_bytes()); }

void SimInode::Push(bool resizes, uint64_t at, std::string_view data) {
  pending_.push_back({next_operation_++, resizes, at, std::string(data)});
  if (resizes)
    seen_.Resize(at);
  else
    seen_.Write(at, data);
}

void SimInode::Write(uint64_t offset, std::string_view data) {
  if (data.empty()) return;
  if (offset + data.size() > seen_.size()) Push(true, offset + data.size(), {});
  Push(false, offset, data);
}

void SimInode::Resize(uint64_t size) {
  if (size == seen_.size()) return;
  // What is cut off reads as zeros when the file grows again. In the sector at the cut this is a
  // write like others.
  const uint64_t sector_end = (size + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
  const uint64_t zeros_end = std::min(sector_end, seen_.size());
  if (size < zeros_end) Push(false, size, std::string(zeros_end - size, '\0'));
  Push(true, size, {});
  reserved_ = std::min(reserved_, size);
}

void SimInode::Sync(uint64_t up_to) {
  while (!pending_.empty() && pending_.front().number <= up_to) {
    const Operation& operation = pending_.front();
    if (operation.resizes)
      durable_.Resize(operation.at);
    else
      durable_.Write(operation.at, operation.data);
    pending_.pop_front();
  }
}

void SimInode::FailSync(uint64_t up_to, Prng& random) { Settle(up_to, random, false); }

void SimInode::Crash(Prng& random, bool tears_sectors) {
  Settle(last_operation(), random, tears_sectors);
  seen_ = durable_;
  reserved_ = std::min(reserved_, seen_.size());
}

void SimInode::Damage(uint64_t offset, std::string_view data) {
  durable_.Write(offset, data);
  seen_.Write(offset, data);
}

// Decides what of the operations up to the mark is on the platter and forgets them.
void SimInode::Settle(uint64_t up_to, Prng& random, bool tears_sectors) {
  std::map<uint64_t, SectorFate> fates;
  uint64_t resizes = 0;
  for (const Operation& operation : pending_) {
    if (operation.number > up_to) break;
    if (operation.resizes) ++resizes;
    BySector(operation.at, operation.at + operation.data.size(),
             [&](uint64_t sector, uint64_t, uint64_t) { ++fates[sector].writes; });
  }
  const uint64_t durable_sectors = (durable_.size() + kSectorBytes - 1) / kSectorBytes;
  for (auto& [sector, fate] : fates) {
    fate.kept = DrawKept(fate.writes, random);
    if (tears_sectors && sector >= durable_sectors && fate.kept > 0 && random.Below(8) == 0)
      fate.torn_bytes = 1 + random.Below(kSectorBytes - 1);
  }
  uint64_t resizes_left = resizes == 0 ? 0 : DrawKept(resizes, random);
  // Behind a cut that never happened, what was written later went to sectors that no file has.
  uint64_t visible_end = UINT64_MAX;
  std::map<uint64_t, uint64_t> written;
  while (!pending_.empty() && pending_.front().number <= up_to) {
    const Operation operation = std::move(pending_.front());
    pending_.pop_front();
    if (operation.resizes) {
      if (resizes_left > 0) {
        --resizes_left;
        durable_.Resize(operation.at);
      } else {
        const uint64_t sectors = (operation.at + kSectorBytes - 1) / kSectorBytes;
        visible_end = std::min(visible_end, sectors * kSectorBytes);
      }
      continue;
    }
    BySector(operation.at, operation.at + operation.data.size(),
             [&](uint64_t sector, uint64_t from, uint64_t to) {
               const SectorFate& fate = fates[sector];
               const uint64_t number = ++written[sector];
               if (number > fate.kept) return;
               uint64_t end = std::min({to, durable_.size(), visible_end});
               if (number == fate.kept && fate.torn_bytes > 0)
                 end = std::min(end, sector * kSectorBytes + fate.torn_bytes);
               if (from >= end) return;
               durable_.Write(
                   from, std::string_view(operation.data).substr(from - operation.at, end - from));
             });
  }
}

}  // namespace quoin::env
