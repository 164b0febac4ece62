#include "store/renewer_note.h"

#include <fcntl.h>

#include <nlohmann/json.hpp>

#include "fs/file.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "store/layout.h"

namespace claude_init::store {
namespace {

using nlohmann::json;

constexpr const char* kNote = "renewer.json";
constexpr std::size_t kMaxNoteBytes = 1 << 16;
constexpr std::size_t kBurnersKept = 20;

std::string text_in(const json& from, const char* key) {
  const auto found = from.find(key);
  return found != from.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t number_in(const json& from, const char* key) {
  const auto found = from.find(key);
  return found != from.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

json object_in(const json& from, const char* key) {
  const auto found = from.find(key);
  return found != from.end() && found->is_object() ? *found : json::object();
}

}  // namespace

RenewerNote read_renewer_note(const Tree& store) {
  RenewerNote note;
  const fs::ActAs as(store.who);
  const auto file = fs::open_regular(store.root, fs::join(kPrivateDir, kNote), fs::Links::refuse);
  if (!file) return note;
  const auto text = fs::read_all(*file, kMaxNoteBytes, kNote);
  const json kept = text ? json::parse(*text, nullptr, /*allow_exceptions=*/false) : json();
  if (!kept.is_object()) return note;
  const json program = object_in(kept, "program");
  note.program = {text_in(program, "path"), number_in(program, "size"), number_in(program, "modified")};
  note.version = text_in(kept, "version");
  note.keeper = text_in(kept, "keeper");
  if (const json login = object_in(kept, "unanswered"); !login.empty()) {
    note.unanswered = {number_in(login, "expires_at"), text_in(login, "account_uuid"), text_in(login, "tool"),
                       text_in(login, "shown")};
  }
  if (const auto burners = kept.find("burners"); burners != kept.end() && burners->is_array()) {
    for (const json& burner : *burners) {
      if (burner.is_string() && note.burners.size() < kBurnersKept)
        note.burners.push_back(burner.get<std::string>());
    }
  }
  return note;
}

Result<void> write_renewer_note(const Store& store, const RenewerNote& note) {
  const fs::ActAs as(store.owner());
  const auto own = fs::make_directory(store.fd(), std::string(kPrivateDir), store.modes().directory);
  if (!own) return own.error();
  json kept;
  kept["program"] = {
      {"path", note.program.path}, {"size", note.program.size}, {"modified", note.program.modified}};
  kept["version"] = note.version;
  if (!note.keeper.empty()) kept["keeper"] = note.keeper;
  if (const auto& login = note.unanswered) {
    kept["unanswered"] = {{"expires_at", login->expires_at},
                          {"account_uuid", login->account_uuid},
                          {"tool", login->tool},
                          {"shown", login->shown}};
  }
  kept["burners"] = note.burners;
  return fs::replace_file(own->get(), kNote, kept.dump(-1, ' ', false, json::error_handler_t::replace) + '\n',
                          store.modes().file, fs::Sync::yes);
}

}  // namespace claude_init::store
