DROP TABLE export_staging;
