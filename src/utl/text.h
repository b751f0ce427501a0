// How quoinutl writes bytes and tables for people.
//
// Thread: any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quoin::utl {

// "text" with what is not printable escaped; of long bytes the first 64, and how many there are.
std::string Quoted(std::string_view bytes);

// A box of light lines: the header in capitals and centred, cells to the right, as etcd's tools
// draw it. ASCII only.
std::string Table(const std::vector<std::string>& header, const std::vector<std::string>& row);

// 25 kB, 1.2 MB: sizes as etcd's tools print them.
std::string HumanBytes(uint64_t bytes);

}  // namespace quoin::utl
