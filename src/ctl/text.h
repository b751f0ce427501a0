// What this program's commands use of src/cli under short names: text as Go writes it, and flags.
#pragma once

#include "cli/flags.h"
#include "cli/go_text.h"
#include "cli/strings.h"

namespace quoin::ctl {

using cli::DecodeUtf8;
using cli::Flags;
using cli::FlagSpec;
using cli::FlagType;
using cli::FormatDuration;
using cli::HexEscaped;
using cli::HumanBytes;
using cli::Message;
using cli::ParseInt;
using cli::ParseUint;
using cli::Quote;
using cli::ReplaceAll;
using cli::Stripped;
using cli::TakeQuoted;
using cli::Upper;

}  // namespace quoin::ctl
