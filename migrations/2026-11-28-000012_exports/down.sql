DROP TABLE exported_resource;
DROP TABLE export;
DROP TABLE exporter;
