//! Packages as `rpmbuild` makes them.

use rpm::{
    BuildConfig, CompressionType, FileOptions, Header, HeaderEntry, IndexData, IndexTag, Package,
    PackageBuilder,
};

/// A package that is to be built.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Its name.
    pub name: &'static str,
    /// Its epoch; 0: none.
    pub epoch: u32,
    /// Its version.
    pub version: &'static str,
    /// Its release.
    pub release: &'static str,
    /// Its architecture.
    pub arch: &'static str,
    /// Its license.
    pub license: &'static str,
    /// Who made it; empty: nobody says so.
    pub vendor: &'static str,
    /// What it is for, at length.
    pub description: &'static str,
    /// What its one file holds: what tells apart packages that are named alike.
    pub content: &'static str,
}

impl Recipe {
    /// A package of this name and version.
    #[must_use]
    pub fn new(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            epoch: 0,
            version,
            release: "1.fc16",
            arch: "noarch",
            license: "ASL 2.0",
            vendor: "The vendor",
            description: "At length,\nin two lines.",
            content: "content",
        }
    }

    fn package(&self, config: BuildConfig) -> Package {
        let (name, version, arch) = (self.name, self.version, self.arch);
        let mut builder = PackageBuilder::new(name, version, self.license, arch, "In short");
        builder
            .using_config(
                config
                    .compression(CompressionType::None)
                    .source_date(1_600_000_000),
            )
            .epoch(self.epoch)
            .release(self.release)
            .description(self.description)
            .vendor(self.vendor)
            .build_host("localhost")
            .with_file_contents(self.content, FileOptions::new("/usr/share/content"))
            .unwrap();
        builder.build().unwrap()
    }

    /// Its bytes.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        written(&self.package(BuildConfig::v4()))
    }

    /// The bytes of one whose header says that it is a source package.
    #[must_use]
    pub fn build_source(&self) -> Vec<u8> {
        let mut package = self.package(BuildConfig::v6());
        let left_out = [IndexTag::RPMTAG_HEADERIMMUTABLE, IndexTag::RPMTAG_SOURCERPM];
        let left_out = left_out.map(u32::from);
        let entries = package.metadata.header.get_all_entries().unwrap();
        let entries = entries
            .into_iter()
            .filter(|(tag, _)| !left_out.contains(tag));
        let mut entries: Vec<HeaderEntry> = entries
            .map(|(tag, data)| HeaderEntry { tag, data })
            .collect();
        entries.push(HeaderEntry {
            tag: IndexTag::RPMTAG_SOURCEPACKAGE.into(),
            data: IndexData::Int32(vec![1]),
        });
        package.metadata.header = Header::from_entries(entries, IndexTag::RPMTAG_HEADERIMMUTABLE);
        package.clear_signatures().unwrap();
        written(&package)
    }
}

fn written(package: &Package) -> Vec<u8> {
    let mut bytes = Vec::new();
    package.write(&mut bytes).unwrap();
    bytes
}
