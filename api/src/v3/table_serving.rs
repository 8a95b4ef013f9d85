//! The part of the URL table about publications and distributions.

use super::distributions::{self, DistributionResponse, FileDistributionRequest};
use super::labels::{SetLabel, SetLabelResponse, UnsetLabel, UnsetLabelResponse};
use super::object_roles::role_calls;
use super::publications::{self, FilePublicationRequest, PublicationResponse};
use super::roled::{FileDistributions, FilePublications};
use crate::route::{Endpoint, delete, get, patch, post, put};
use millrace_common::representation::{FileDistribution, FilePublication};

/// Its calls.
pub fn table() -> Vec<Endpoint> {
    let mut table = publications();
    table.extend(distributions());
    table.extend(role_calls!(
        FilePublications,
        "publications/file/file/{file_file_publication_href}/",
        "publications_file_file",
        "Publications: File"
    ));
    table.extend(role_calls!(
        FileDistributions,
        "distributions/file/file/{file_file_distribution_href}/",
        "distributions_file_file",
        "Distributions: File"
    ));
    table
}

fn publications() -> Vec<Endpoint> {
    const LIST: &str = "publications/file/file/";
    const ONE: &str = "publications/file/file/{file_file_publication_href}/";
    const TAG: &str = "Publications: File";
    vec![
        get("publications/", "publications_list", publications::list_all)
            .tag("Publications")
            .about("Publications of all types")
            .lists::<PublicationResponse, _>(&publications::FILTERS),
        get(LIST, "publications_file_file_list", publications::list)
            .tag(TAG)
            .about("File publications")
            .lists::<FilePublication, _>(&publications::FILE_FILTERS),
        post(LIST, "publications_file_file_create", publications::create)
            .tag(TAG)
            .about("Publish a version, in a task")
            .accepts::<FilePublicationRequest>()
            .dispatches(),
        get(ONE, "publications_file_file_read", publications::read)
            .tag(TAG)
            .about("One file publication")
            .answers::<FilePublication>(200),
        delete(ONE, "publications_file_file_delete", publications::remove)
            .tag(TAG)
            .about("Delete it; distributions lose it")
            .answers_nothing(204),
    ]
}

fn distributions() -> Vec<Endpoint> {
    const LIST: &str = "distributions/file/file/";
    const ONE: &str = "distributions/file/file/{file_file_distribution_href}/";
    const TAG: &str = "Distributions: File";
    vec![
        get(
            "distributions/",
            "distributions_list",
            distributions::list_all,
        )
        .tag("Distributions")
        .about("Distributions of all types")
        .lists::<DistributionResponse, _>(&distributions::FILTERS),
        get(LIST, "distributions_file_file_list", distributions::list)
            .tag(TAG)
            .about("File distributions")
            .lists::<FileDistribution, _>(&distributions::FILE_FILTERS),
        post(
            LIST,
            "distributions_file_file_create",
            distributions::create,
        )
        .tag(TAG)
        .about("Make a file distribution, in a task")
        .accepts::<FileDistributionRequest>()
        .dispatches(),
        get(ONE, "distributions_file_file_read", distributions::read)
            .tag(TAG)
            .about("One file distribution")
            .answers::<FileDistribution>(200),
        put(ONE, "distributions_file_file_update", distributions::update)
            .tag(TAG)
            .about("Replace its values")
            .accepts::<FileDistributionRequest>()
            .answers::<FileDistribution>(200)
            .dispatches(),
        patch(
            ONE,
            "distributions_file_file_partial_update",
            distributions::partial_update,
        )
        .tag(TAG)
        .about("Change some of its values")
        .accepts_some_of::<FileDistributionRequest>()
        .answers::<FileDistribution>(200)
        .dispatches(),
        delete(ONE, "distributions_file_file_delete", distributions::remove)
            .tag(TAG)
            .about("Delete it, in a task")
            .dispatches(),
        post(
            "distributions/file/file/{file_file_distribution_href}/set_label/",
            "distributions_file_file_set_label",
            distributions::set_label,
        )
        .tag(TAG)
        .about("Set a label")
        .accepts::<SetLabel>()
        .answers::<SetLabelResponse>(201),
        post(
            "distributions/file/file/{file_file_distribution_href}/unset_label/",
            "distributions_file_file_unset_label",
            distributions::unset_label,
        )
        .tag(TAG)
        .about("Take a label away")
        .accepts::<UnsetLabel>()
        .answers::<UnsetLabelResponse>(201),
    ]
}
