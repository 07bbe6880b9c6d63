// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <unistd.h>

#include <optional>
#include <span>
#include <vector>

#include "ashlar/cli/commands.hpp"
#include "ashlar/cli/format.hpp"
#include "ashlar/cli/guest_file.hpp"
#include "ashlar/cli/image_file.hpp"
#include "ashlar/cli/signature_file.hpp"
#include "ashlar/cli/upload.hpp"

namespace ashlar::cli {

namespace {

// An image can be dropped between its upload and the next Create when the builder is short of room;
// after so many rounds something else is wrong.
constexpr int max_rounds = 3;

class Creation {
public:
  explicit Creation(const Arguments& arguments) : arguments_(arguments), progress_(STDERR_FILENO) {}

  // Puts the request together and hashes the images. Nothing is sent yet.
  [[nodiscard]] Outcome<void> prepare() {
    const Guest guest = TRY(guest_of(arguments_));
    const Result<ashlar_v1_Create> create = create_request(guest);
    if (!create)
      return std::unexpected(Problem::usage(create.error()));
    request_.which_verb = ashlar_v1_Request_create_tag;
    request_.verb.create = *create;
    request_.verb.create.paused = arguments_.paused;
    request_.verb.create.dry_run = arguments_.dry_run;
    TRY(add_image(*guest.kernel));
    request_.verb.create.has_kernel = true;
    request_.verb.create.kernel = reference_to(images_.front());
    for (const std::string& path : guest.initrds) {
      TRY(add_image(path));
      request_.verb.create.initrds[request_.verb.create.initrds_count++] =
          reference_to(images_.back());
    }
    return add_signatures(guest);
  }

  [[nodiscard]] Outcome<std::string> carry_out() {
    std::optional<Session> session = TRY(Session::open(arguments_));
    for (int round = 0; round < max_rounds; ++round) {
      const ipc::Response final =
          TRY(session->ask(request_, [this](const ipc::Response& part) { take(part); }));
      progress_.clear();
      if (final.which_part != ashlar_v1_Response_missing_images_tag) {
        if (std::optional<Problem> problem = problem_of(final))
          return std::unexpected(std::move(*problem));
        return answer();
      }
      // Another connection, now that there is something to send: what is refused, or held already,
      // never costs the builder one for images.
      if (round == 0) {
        session.reset();
        session = TRY(Session::open(arguments_, Sends::images));
      }
      TRY(upload_missing(*session, final.part.missing_images));
    }
    return std::unexpected(
        Problem({ErrorCode::busy, "creating the domain",
                 fmt::format("the builder lacked images even after {} uploads; is its image memory "
                             "full? See ashlar images",
                             max_rounds),
                 0}));
  }

private:
  [[nodiscard]] Outcome<void> add_signatures(const Guest& guest) {
    const Result<GuestSignatures> signatures = read_signatures(guest);
    if (!signatures)
      return std::unexpected(signatures.error().code == ErrorCode::invalid
                                 ? Problem::usage(signatures.error())
                                 : Problem(signatures.error()));
    ashlar_v1_Create& create = request_.verb.create;
    bool fits = ipc::set_bytes(create.kernel_signature, signatures->kernel);
    for (const std::vector<std::byte>& signature : signatures->initrds)
      fits = fits &&
             ipc::set_bytes(create.initrd_signatures[create.initrd_signatures_count++], signature);
    if (!fits)
      return std::unexpected(Problem({ErrorCode::internal, "putting the request together",
                                      "a signature does not fit into it", 0}));
    return {};
  }

  [[nodiscard]] Outcome<void> add_image(const std::string& path) {
    progress_.show("hashing " + path, 0, 0);
    Result<ImageFile> image = find_image(path, Hashing::name);
    if (!image)
      return std::unexpected(image.error().code == ErrorCode::invalid
                                 ? Problem::usage(image.error())
                                 : Problem(image.error()));
    images_.push_back(std::move(*image));
    progress_.clear();
    return {};
  }

  void take(const ipc::Response& part) {
    if (part.which_part == ashlar_v1_Response_domain_tag)
      domain_ = part.part.domain;
    if (part.which_part == ashlar_v1_Response_progress_tag)
      progress_.show(part.part.progress.stage, part.part.progress.done, part.part.progress.total);
  }

  [[nodiscard]] Outcome<void> upload_missing(Session& session,
                                             const ashlar_v1_MissingImages& missing) {
    for (const std::uint32_t position : std::span(missing.positions, missing.positions_count)) {
      if (position >= images_.size())
        return std::unexpected(Problem::transport(
            {ErrorCode::invalid, "reading the builder's answer",
             fmt::format("it asks for image {} of {}", position, images_.size()), 0}));
      TRY(upload_image(session, progress_, images_[position]));
    }
    return {};
  }

  [[nodiscard]] std::string answer() const {
    if (arguments_.json)
      return json_text(domain_ ? domain_json(*domain_)
                               : nlohmann::ordered_json{{"allowed", true}}) +
             "\n";
    if (!domain_)
      return "the policy allows it\n";
    return fmt::format("{}\ndomid: {}\nserial: {}\n", domain_->name, domain_->domid,
                       domain_->serial);
  }

  const Arguments& arguments_;
  Progress progress_;
  ipc::Request request_{};
  std::vector<ImageFile> images_; // the kernel, then the initrds
  std::optional<ashlar_v1_Domain> domain_;
};

} // namespace

Outcome<Guest> guest_of(const Arguments& arguments) {
  if (arguments.guest_file.empty())
    return arguments.flags;
  const Result<Guest> file = read_guest_file(arguments.guest_file);
  if (file)
    return overlay(*file, arguments.flags);
  const ErrorCode code = file.error().code;
  if (code == ErrorCode::invalid || code == ErrorCode::unsupported || code == ErrorCode::limit)
    return std::unexpected(Problem::usage(file.error()));
  return std::unexpected(Problem(file.error()));
}

Outcome<std::string> create(const Arguments& arguments) {
  Creation creation(arguments);
  TRY(creation.prepare());
  return creation.carry_out();
}

} // namespace ashlar::cli
