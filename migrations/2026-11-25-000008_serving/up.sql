-- Where a publication stands among those of its repository: a copy of what its version says for ever, so
-- that the newest one is found without walking versions that were never published.
ALTER TABLE publication ADD COLUMN repository_id uuid,
    ADD COLUMN version_number integer;
UPDATE publication p SET repository_id = v.repository_id, version_number = v.number
  FROM repository_version v WHERE v.pulp_id = p.repository_version_id;
ALTER TABLE publication ALTER COLUMN repository_id SET NOT NULL,
    ALTER COLUMN version_number SET NOT NULL;
CREATE INDEX publication_newest ON publication
    (repository_id, version_number DESC, pulp_created DESC, pulp_id DESC);

CREATE INDEX publication_checkpoint ON publication
    (repository_id, version_number DESC, pulp_created DESC, pulp_id DESC) WHERE checkpoint;

CREATE FUNCTION millrace_place_publication() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT v.repository_id, v.number INTO NEW.repository_id, NEW.version_number
      FROM repository_version v WHERE v.pulp_id = NEW.repository_version_id;
    RETURN NEW;
END $$;
CREATE TRIGGER publication_place BEFORE INSERT ON publication
    FOR EACH ROW EXECUTE FUNCTION millrace_place_publication();

-- A directory's files are one range of the key.
ALTER TABLE published_artifact ALTER COLUMN relative_path TYPE text COLLATE "C";

-- With the slash behind it, the base path of a request's path is the greatest one that is not behind that.
CREATE INDEX distribution_place ON distribution (pulp_domain, (base_path || '/') COLLATE "C");

-- What each distribution serves now (contract 1.10). Publications and versions never change: whoever
-- has asked this view knows all that can change about a path.
CREATE VIEW served AS
SELECT d.pulp_id AS distribution_id, d.pulp_domain, d.hidden,
       (d.base_path || '/') COLLATE "C" AS place,
       p.pulp_id AS publication_id, p.pass_through, p.repository_id, p.version_number
  FROM distribution d
  LEFT JOIN LATERAL (
       SELECT named.pulp_id, named.pass_through, named.repository_id, named.version_number
         FROM publication named WHERE named.pulp_id = d.publication_id
       UNION ALL
       (SELECT latest.pulp_id, latest.pass_through, latest.repository_id, latest.version_number
          FROM publication latest WHERE latest.repository_version_id = d.repository_version_id
         ORDER BY latest.pulp_created DESC, latest.pulp_id DESC LIMIT 1)
       UNION ALL
       (SELECT newest.pulp_id, newest.pass_through, newest.repository_id, newest.version_number
          FROM publication newest WHERE newest.repository_id = d.repository_id AND NOT d.checkpoint
         ORDER BY newest.version_number DESC, newest.pulp_created DESC, newest.pulp_id DESC LIMIT 1)
       UNION ALL
       (SELECT newest.pulp_id, newest.pass_through, newest.repository_id, newest.version_number
          FROM publication newest
         WHERE newest.repository_id = d.repository_id AND d.checkpoint AND newest.checkpoint
         ORDER BY newest.version_number DESC, newest.pulp_created DESC, newest.pulp_id DESC LIMIT 1)
  ) p ON true;

-- Of the units of one key the last that was added up to a version is the only one that it can hold.
DROP INDEX repository_content_key;
CREATE INDEX repository_content_key ON repository_content (repository_id, repo_key, version_added)
    WHERE repo_key IS NOT NULL;
