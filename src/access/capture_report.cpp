#include "access/capture_report.h"

#include <fmt/format.h>

#include "base/text.h"
#include "sync/plan.h"
#include "ui/exit_status.h"

namespace claude_init::access {
namespace {

// A list that is longer says how much longer, and where the rest is to be seen.
constexpr std::size_t kNamedAtMost = 5;

template <class List, class Show>
void print_list(const ui::Console& console, std::string_view what, const List& list, Show show) {
  if (list.empty()) return;
  console.warning(fmt::format("{} {}:", list.size(), what));
  std::size_t shown = 0;
  for (const auto& item : list) {
    if (shown++ == kNamedAtMost) break;
    console.text("  " + show(item));
  }
  if (list.size() > kNamedAtMost) {
    console.text(fmt::format("  … and {} more (CLAUDE_INIT_LOG_LEVEL=debug names them all)",
                             list.size() - kNamedAtMost));
  }
}

}  // namespace

int report_files(const ui::Console& console, const sync::CaptureReport& report) {
  if (report.added + report.changed + report.deleted + report.unchanged > 0)
    console.detail("files", fmt::format("{} new, {} changed,{} {} as they were ({} written)", report.added,
                                        report.changed,
                                        report.deleted > 0 ? fmt::format(" {} deleted,", report.deleted) : "",
                                        report.unchanged, format_bytes(report.bytes)));
  print_list(console, "files were not saved", report.skipped,
             [](const sync::Skipped& s) { return fmt::format("{}: {}", printable(s.path), s.reason); });
  print_list(console, "files were not saved before the stop timeout", report.left_out,
             [](const std::string& path) { return printable(path); });
  const sync::Skipped* failed = sync::first_failed(report.skipped);
  return failed == nullptr ? kExitOk : exit_status_of(system_error(failed->error, failed->path));
}

}  // namespace claude_init::access
