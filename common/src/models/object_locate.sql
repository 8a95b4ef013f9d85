SELECT pulp_id, 'artifact' AS kind, NULL AS pulp_type, NULL::uuid AS owner, NULL::integer AS number
  FROM artifact WHERE pulp_id = ANY ($1)
UNION ALL
SELECT pulp_id, 'content', pulp_type, NULL, NULL FROM content WHERE pulp_id = ANY ($1)
UNION ALL
SELECT pulp_id, 'repository', pulp_type, NULL, NULL FROM repository WHERE pulp_id = ANY ($1)
UNION ALL
SELECT v.pulp_id, 'version', r.pulp_type, v.repository_id, v.number
  FROM repository_version v JOIN repository r ON r.pulp_id = v.repository_id
 WHERE v.pulp_id = ANY ($1) AND v.complete
UNION ALL
SELECT pulp_id, 'remote', pulp_type, NULL, NULL FROM remote WHERE pulp_id = ANY ($1)
UNION ALL
SELECT pulp_id, 'publication', pulp_type, NULL, NULL FROM publication WHERE pulp_id = ANY ($1)
UNION ALL
SELECT pulp_id, 'distribution', pulp_type, NULL, NULL FROM distribution WHERE pulp_id = ANY ($1)
UNION ALL
SELECT pulp_id, 'upload', NULL, NULL, NULL FROM upload WHERE pulp_id = ANY ($1)
UNION ALL
SELECT pulp_id, 'task', NULL, NULL, NULL FROM task WHERE pulp_id = ANY ($1)
UNION ALL
SELECT pulp_id, 'task_group', NULL, NULL, NULL FROM task_group WHERE pulp_id = ANY ($1)
UNION ALL
SELECT pulp_id, 'exporter', NULL, NULL, NULL FROM exporter WHERE pulp_id = ANY ($1)
UNION ALL
SELECT pulp_id, 'export', NULL, exporter_id, NULL FROM export WHERE pulp_id = ANY ($1)
